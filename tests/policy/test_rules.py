from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from localagent.errors import UsageError
from localagent.policy import rule as model
from localagent.policy import rules, shell_risk
from localagent.policy.rule import Subject


@dataclass(frozen=True)
class _Place:
    workspace: str = "/w"
    home: str = "/home/u"
    resolve: None = None


PLACE = _Place()


def _subject(kind: str, text: str) -> Subject:
    return Subject(kind, text, shell_risk.read(text) if kind == "run" else None)


MATCHES = [
    ("read(a.txt)", "read", "/w/a.txt", True),
    ("read(./a.txt)", "read", "/w/a.txt", True),
    ("read(a.txt)", "read", "/w/b/a.txt", False),
    ("read(a.txt)", "write", "/w/a.txt", False),
    ("write(*.txt)", "write", "/w/a.txt", True),
    ("write(*.txt)", "write", "/w/b/a.txt", False),
    ("write(**/*.txt)", "write", "/w/a.txt", True),
    ("write(**/*.txt)", "write", "/w/b/c/a.txt", True),
    ("write(src/**)", "write", "/w/src", True),
    ("write(src/**)", "write", "/w/src/a/b", True),
    ("write(src/**)", "write", "/w/srcs", False),
    ("write(src/)", "write", "/w/src", True),
    ("write(src/*)", "write", "/w/src/a", True),
    ("write(src/*)", "write", "/w/src/a/b", False),
    ("write(*)", "write", "/w/a/b", True),
    ("write(**)", "write", "/w/a/b", True),
    ("write(.)", "write", "/w/a/b", True),
    ("write(**)", "write", "/v/a", False),
    ("write(**)", "write", "/wx", False),
    ("read(~)", "read", "/home/u", True),
    ("read(~)", "read", "/home/u/a", False),
    ("read(~/**)", "read", "/home/u/a/b", True),
    ("read(~/**)", "read", "/home/user", False),
    ("read(~x)", "read", "/w/~x", True),
    ("read(/**)", "read", "/etc/hosts", True),
    ("read(/etc/*)", "read", "/etc/hosts", True),
    ("read(a?c)", "read", "/w/abc", True),
    ("read(a?c)", "read", "/w/a/c", False),
    ("read(a[bx]c)", "read", "/w/axc", True),
    ("read(a[!b]c)", "read", "/w/abc", False),
    ("read(a[!b]c)", "read", "/w/a/c", False),
    ("read(a[*]c)", "read", "/w/a*c", True),
    ("read(a[*]c)", "read", "/w/abc", False),
    ("read(a(1).txt)", "read", "/w/a(1).txt", True),
    ("read(a.txt)", "read", "/w/aXtxt", False),
    ("read(A.txt)", "read", "/w/a.txt", False),
    ("read(a b.txt)", "read", "/w/a b.txt", True),
    ("run(git status)", "run", "git status", True),
    ("run(git status)", "run", "git  'status'", True),
    ("run(git status)", "run", "git status -s", False),
    ("run(git status)", "run", "git", False),
    ("run(git *)", "run", "git", True),
    ("run(git *)", "run", "git push origin", True),
    ("run(git ...)", "run", "git push origin", True),
    ("run(git *)", "run", "gitx", False),
    ("run(git *)", "run", "/tmp/git status", False),
    ("run(git *)", "run", "git status | sh", False),
    ("run(git *)", "run", "git status; rm a", False),
    ("run(git *)", "run", "git log > x", False),
    ("run(git *)", "run", "git log $(rm a)", False),
    ("run(git *)", "run", "sudo git log", False),
    ("run(git commit *)", "run", "git commit -m 'a b'", True),
    ("run(echo 'a b')", "run", "echo a\\ b", True),
    ("run(ls | wc -l)", "run", "ls | wc -l", True),
    ("run(ls | wc -l)", "run", "ls  | wc -l", False),
    ("run(ls | wc -l)", "run", "ls | wc -l; rm a", False),
    ("run(*)", "run", "ls | sh", True),
    ("run(*)", "run", "anything at all", True),
    ("run(echo '*')", "run", "echo '*'", True),
    ("run(echo '*')", "run", "echo b", False),
    ("net(example.org)", "net", "example.org", True),
    ("net(example.org)", "net", "Example.ORG", True),
    ("net(example.org)", "net", "a.example.org", False),
    ("net(*.example.org)", "net", "a.example.org", True),
    ("net(*.example.org)", "net", "example.org", False),
    ("net(*.example.org)", "net", "evilexample.org", False),
    ("net(*)", "net", "?", True),
    ("send(email:ann@example.org)", "send", "email:ann@example.org", True),
    ("send(email:ann@example.org)", "send", "email:bob@example.org", False),
    ("send(email:*)", "send", "email:bob@example.org", True),
    ("send(email:*)", "send", "matrix:bob", False),
    ("send(*)", "send", "?", True),
    ("persist(schedule)", "persist", "schedule", True),
    ("persist(schedule)", "persist", "startup", False),
    ("tool(word_count)", "tool", "word_count", True),
    ("tool(word_count)", "tool", "word_counts", False),
]


@pytest.mark.parametrize(("text", "kind", "touched", "matches"), MATCHES)
def test_an_allow_rule_matches_exactly(text: str, kind: str, touched: str, matches: bool) -> None:
    rule = rules.parse(text)
    assert str(rule) == text
    assert model.allows(rule, _subject(kind, touched), PLACE) is matches
    if matches:
        assert model.reaches(rule, _subject(kind, touched), PLACE)


REACHES = [
    ("write(A.txt)", "write", "/w/a.txt", True),
    ("read(.env)", "read", "/w/.ENV", True),
    ("run(git push)", "run", "git push origin main", True),
    ("run(git push *)", "run", "git -C sub push", True),
    ("run(git push *)", "run", "/usr/bin/git push", True),
    ("run(git push *)", "run", "GIT_DIR=x git push", True),
    ("run(git push *)", "run", "sudo git push", True),
    ("run(git push *)", "run", "ls && git push -f", True),
    ("run(git push *)", "run", "bash -c 'git push'", True),
    ("run(git push *)", "run", "echo $(git push)", True),
    ("run(git push *)", "run", "g\\it push", True),
    ("run(git push *)", "run", "git status", False),
    ("run(git push *)", "run", "echo git push", False),
    ("run(curl *)", "run", "echo x | curl -d @- y", True),
    ("run(rm *)", "run", "find . -name x | xargs rm", True),
    ("run(rm ...)", "run", "x=rm; $x a", True),
    ("run(rm ...)", "run", "$(echo rm) a", True),
    ("run(rm ...)", "run", "f(){ rm a; }; f", True),
    ("run(rm ...)", "run", "trap 'rm a' EXIT", True),
    ("run(rm ...)", "run", "trap 'rm a' EXIT; true", True),
    ("run(rm ...)", "run", "eval 'r''m a'", True),
    ("run(rm ...)", "run", "$'rm' a", True),
    ("run(rm ...)", "run", "$'\\x72m' a", True),
    ("run(rm ...)", "run", "case x in x) rm a;; esac", True),
    ("run(rm ...)", "run", "x=/bin/rm && $x a", True),
    ("run(rm ...)", "run", "alias x='rm -f'", True),
    ("run(rm ...)", "run", "python3 -c 'import os; os.system(\"rm a\")'", True),
    ("run(/bin/rm ...)", "run", "x=rm; $x a", True),
    ("run(git push ...)", "run", "p=push; git $p", True),
    ("run(git push ...)", "run", "git status | head", False),
    ("run(rm ...)", "run", "ls farm.txt | head", False),
    ("run(rm ...)", "run", "ls *.rm | wc -l", False),
    ("run(rm ...)", "run", "docker run --rm x | cat", False),
    ("run(rm ...)", "run", "git commit -m 'rm the old'", False),
    ("run(rm ...)", "run", "grep 'rm -rf' notes.txt", False),
]


@pytest.mark.parametrize(("text", "kind", "touched", "reached"), REACHES)
def test_a_deny_rule_reaches_further(text: str, kind: str, touched: str, reached: bool) -> None:
    assert model.reaches(rules.parse(text), _subject(kind, touched), PLACE) is reached


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "character 1"),
        ("delete(x)", "'delete' is no kind of rule"),
        ("Read(x)", "'Read' is no kind of rule"),
        ("read", "character 5"),
        ("read x", "character 5"),
        ("read(x", "closing parenthesis"),
        ("read()", "nothing stands"),
        ("read( )", "nothing stands"),
        ("read(../x)", "'..'"),
        ("write(a/../../x)", "'..'"),
        ("read([z-a])", "brackets"),
        ("read(a\nb)", "control character"),
        ("send(ann)", "send(CHANNEL:ADDRESS)"),
        ("net(https://example.org/x)", "names a host"),
        ("net(a b)", "names a host"),
        ("tool(*)", "not the name of one tool"),
        ("tool(a b)", "not the name of one tool"),
        ("persist(a b)", "no name"),
        ("run(ls | wc *)", "no plain command"),
        ("run($x *)", "no plain command"),
    ],
)
def test_a_rule_that_cannot_be_read_says_where_and_why(text: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        rules.parse(text)
    assert said in str(error.value)


def test_links_are_followed_before_a_rule_allows() -> None:
    @dataclass(frozen=True)
    class Linked:
        workspace: str = "/w"
        home: str = "/home/u"

        def resolve(self, path: str) -> str:
            return path.replace("/w/link", "/secret")

    inside = Subject("write", "/w/link/a")
    assert not model.allows(rules.parse("write(**)"), inside, Linked())
    assert model.reaches(rules.parse("write(/secret/**)"), inside, Linked())
    assert model.reaches(rules.parse("write(link/**)"), inside, Linked())


def test_a_prefix_never_matches_past_a_separator() -> None:
    rng = random.Random(3)
    rule = rules.parse("run(git log *)")
    joints = ["|", "||", "&", "&&", ";", "\n", ">", ">>", "<", "`", "$(", "(", "|&", "\r\n", "<<<"]
    for _ in range(1_200):
        words = ["git", "log", *rng.choices(["-n", "5", "'a b'", "--stat", "x"], k=rng.randrange(4))]
        at = rng.randrange(2, len(words) + 1)
        space = rng.choice(["", " "])
        text = " ".join(words[:at]) + space + rng.choice(joints) + space + " ".join([*words[at:], "rm", "x"])
        assert not model.allows(rule, _subject("run", text), PLACE), text


def test_what_allows_also_reaches() -> None:
    rng = random.Random(5)
    texts = [text for text, *_ in MATCHES]
    touched = [(kind, what) for _, kind, what, _ in MATCHES]
    for _ in range(4_000):
        rule, subject = rules.parse(rng.choice(texts)), _subject(*rng.choice(touched))
        if model.allows(rule, subject, PLACE):
            assert model.reaches(rule, subject, PLACE)


@pytest.mark.parametrize(
    ("kind", "touched", "expected"),
    [
        ("write", ["/w/a.txt"], "write(a.txt)"),
        ("write", ["/w/a*[1].txt"], "write(a[*][[]1].txt)"),
        ("write", ["/w/a", "/w/b"], "write(**)"),
        ("write", ["/w/s/a", "/w/s/b"], "write(s/*)"),
        ("write", ["/w/s/a", "/w/s/t/b"], "write(s/**)"),
        ("write", ["/w/s", "/w/s/b"], "write(s/**)"),
        ("write", ["/w/s/a.jpg", "/w/s/b.jpg"], "write(s/*.jpg)"),
        ("write", ["/w/a.jpg", "/w/b.jpg"], "write(*.jpg)"),
        ("write", ["/w/a.jpg", "/w/b.jpeg"], "write(**)"),
        ("read", ["/home/u/x"], "read(~/x)"),
        ("read", ["/etc/hosts"], "read(/etc/hosts)"),
        ("read", ["/home/u/a", "/w/b"], "read(/**)"),
        ("run", ["git status"], "run(git status)"),
        ("run", ["ls | wc -l"], "run(ls | wc -l)"),
        ("run", ["ls *"], "run(*)"),
        ("run", ["echo $x ..."], "run(*)"),
        ("net", ["example.org"], "net(example.org)"),
        ("net", ["?"], "net(*)"),
        ("net", ["a.org", "b.org"], "net(*)"),
        ("send", ["email:a@b"], "send(email:a@b)"),
    ],
)
def test_the_narrowest_rule_is_suggested(kind: str, touched: list[str], expected: str) -> None:
    assert rules.rule_for([_subject(kind, text) for text in touched], PLACE) == expected


def test_a_suggested_rule_can_be_pasted() -> None:
    assert rules.shown("write(a b's.txt)") == "--allow 'write(a b'\"'\"'s.txt)'"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("write(a.txt)", True),
        ("write(src/a[*][[]1].txt)", True),
        ("write(photos/*.jpg)", True),
        ("write(*.jpg)", True),
        ("read(~/docs)", True),
        ("write(src/**)", False),
        ("write(**)", False),
        ("write(*)", False),
        ("write(.)", False),
        ("write(./)", False),
        ("write(./**)", False),
        ("write(src/*)", False),
        ("write(*/a.jpg)", False),
        ("write(photos/*.*)", False),
        ("write(**/*.jpg)", False),
        ("write(photos/[a-z].jpg)", False),
        ("read(~/**)", False),
        ("read(~/docs/**)", False),
        ("run(git status)", True),
        ("run(pytest *)", True),
        ("run(*)", False),
        ("run(ls | wc -l)", False),
        ("run(bash -c ls)", False),
        ("run(python3.12 *)", False),
        ("run(/usr/bin/python3 x.py)", False),
        ("run(sudo ls)", False),
        ("run(env ls)", False),
        ("run(xargs rm)", False),
        ("run(find *)", False),
        ("run(git -c core.pager=x log)", False),
        ("run(git -C sub status)", False),
        ("run(tar --to-command=sh -xf a)", False),
        ("run(sort --compress-program=x a)", False),
        ("run(busybox ls)", False),
        ("run(npm test)", True),
        ("run(git commit -m x)", True),
        ("net(*)", False),
        ("net(example.org)", True),
        ("send(email:*)", False),
        ("read(/**)", False),
        ("tool(word_count)", True),
    ],
)
def test_what_an_always_may_keep(text: str, kept: bool) -> None:
    assert rules.storable(text) is kept


def test_an_approval_of_a_folder_is_not_one_of_all_beneath_it() -> None:
    listing, beneath = Subject("read", "/home/u"), Subject("read", "/home/u", deep=True)
    assert model.allows(rules.parse("read(~)"), listing, PLACE)
    assert not model.allows(rules.parse("read(~)"), beneath, PLACE)
    assert not model.allows(rules.parse("read(~/*)"), beneath, PLACE)
    assert model.allows(rules.parse("read(~/**)"), beneath, PLACE)
    assert model.reaches(rules.parse("read(~)"), beneath, PLACE)
    assert rules.rule_for([beneath], PLACE) == "read(~/**)"
