// One tab, one app: what is typed goes to it, what it draws is drawn here.
"use strict";

const PIECE = 16384; // bytes typed or pasted that go in one message
const CLIPBOARD_MOST = 1 << 20;
const RETRY_MS = [250, 500, 1000, 2000, 4000];
const RETRIES = 40; // the app behind a lost tab has ended by then

const notice = document.getElementById("notice");
const again = document.getElementById("again");
const encoder = new TextEncoder();

const term = new Terminal({
  allowProposedApi: true,
  cursorBlink: false,
  fontFamily: "ui-monospace, 'Cascadia Mono', 'JetBrains Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace",
  fontSize: 15,
  lineHeight: 1,
  scrollback: 0,
  theme: { background: "#121212" },
  // Where a link leads is for the app to say, never for the text that it shows.
  linkHandler: { activate: () => {} },
});
const fit = new FitAddon.FitAddon();
term.loadAddon(fit);
term.loadAddon(new UnicodeGraphemesAddon.UnicodeGraphemesAddon());
wide();
term.open(document.getElementById("terminal"));
fit.fit();
term.focus();

// What Unicode 15 and 16 made wide, which the add-on's table does not know yet: it is treated as a known one like it.
const WIDER = [
  [0x2630, 0x2637, 0x4e00], [0x268a, 0x268f, 0x4e00], [0x4dc0, 0x4dff, 0x4e00], [0x1f6dc, 0x1f6df, 0x1f600],
  [0x1f7f0, 0x1f7f0, 0x1f600], [0x1f979, 0x1f979, 0x1f600], [0x1f9cc, 0x1f9cc, 0x1f600], [0x1fa70, 0x1faff, 0x1f600],
];
function wide() {
  const known = term._core.unicodeService._providers[term.unicode.activeVersion];
  const as = (code) => (code < 0x2630 ? code : (WIDER.find(([from, to]) => code >= from && code <= to) || [0, 0, code])[2]);
  term.unicode.register({
    version: "localagent",
    wcwidth: (code) => known.wcwidth(as(code)),
    charProperties: (code, before) => known.charProperties(as(code), before),
  });
  term.unicode.activeVersion = "localagent";
}

let socket = null;
let failed = 0;
let over = false;

// A reload finds its app again by this name; a tab that was duplicated has the same, and then the newest has the app.
function tab() {
  let name = sessionStorage.getItem("localagent-tab");
  if (!/^[0-9a-f]{32}$/.test(name || "")) {
    name = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem("localagent-tab", name);
  }
  return name;
}

function tell(text, restart = false) {
  document.getElementById("text").textContent = text;
  again.hidden = !restart;
  notice.hidden = !text;
}

function say(what) {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(what);
}

function type(bytes) {
  for (let at = 0; at < bytes.length; at += PIECE) say(bytes.subarray(at, at + PIECE));
}

function connect() {
  over = false;
  const key = localStorage.getItem("localagent-key") || "none";
  const made = new WebSocket(`ws://${location.host}/app/${tab()}`, ["localagent", key]);
  made.binaryType = "arraybuffer";
  made.onopen = () => {
    failed = 0;
    tell("");
    made.send(JSON.stringify({ size: [term.cols, term.rows] }));
  };
  made.onmessage = (event) => (typeof event.data === "string" ? told(JSON.parse(event.data)) : draw(made, event.data));
  made.onclose = () => { if (socket === made) lost(); };
  socket = made;
}

function draw(from, data) {
  const bytes = new Uint8Array(data);
  // Said when it is drawn, not when it is here: the server sends only so much ahead.
  term.write(bytes, () => { if (socket === from) say(JSON.stringify({ read: bytes.length })); });
}

function told(what) {
  if (what.begin) {
    // Behind what is still being drawn, by an escape sequence and not by a call.
    term.write("\x1bc");
  } else if (what.taken) {
    over = true;
    tell("This app is open in another tab now.", false);
  } else if (what.refused) {
    over = true;
    tell(what.refused, true);
  } else if (what.stopped) {
    over = true;
    tell("The server has been stopped. The conversation is kept: start `localagent web` again and open its new address.");
  } else if ("ended" in what) {
    over = true;
    tell(what.ended === 0 ? "The app has ended." : `The app has ended (${what.ended}).`, true);
  }
}

function lost() {
  if (over) return;
  const wait = RETRY_MS[Math.min(failed, RETRY_MS.length - 1)];
  failed += 1;
  if (failed > 1) tell("No connection to the server. If it was started again, open the new address that it printed.");
  if (failed < RETRIES) setTimeout(connect, wait);
}

again.onclick = () => { tell(""); term.write("\x1bc"); term.focus(); connect(); };

// ---------------------------------------------------------------- keys, mouse, size

term.onData((text) => type(encoder.encode(text)));
term.onBinary((text) => type(Uint8Array.from(text, (one) => one.charCodeAt(0))));

const CODES = { Enter: 13, Tab: 9, Backspace: 127, " ": 32 };
term.attachCustomKeyEventHandler((event) => {
  if (event.type !== "keydown") return true;
  const modifiers = (event.shiftKey ? 1 : 0) + (event.altKey ? 2 : 0) + (event.ctrlKey ? 4 : 0);
  // The browser's own: copying what is selected here with Shift, pasting, its tools, reloading.
  if (event.ctrlKey && event.shiftKey && ["c", "v", "i", "r"].includes(event.key.toLowerCase())) return false;
  if (event.ctrlKey && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "v") return false;
  // Keys that the old codes cannot tell from others are said in the newer form, which the app reads.
  if ((event.key === "Enter" && modifiers) || (event.ctrlKey && event.key === "Backspace")) {
    type(encoder.encode(`\x1b[${CODES[event.key]};${modifiers + 1}u`));
    event.preventDefault();
    return false;
  }
  return true;
});

let resizing = 0;
new ResizeObserver(() => {
  clearTimeout(resizing);
  resizing = setTimeout(() => fit.fit(), 50);
}).observe(document.getElementById("terminal"));
term.onResize(({ cols, rows }) => say(JSON.stringify({ size: [cols, rows] })));

// ---------------------------------------------------------------- the clipboard

let uncopied = null;
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    uncopied = null;
  } catch {
    // Browsers want a key or a click shortly before; the next one will do.
    uncopied = text;
  }
}
for (const kind of ["keydown", "pointerdown"]) {
  addEventListener(kind, () => { if (uncopied !== null) copy(uncopied); }, { capture: true });
}

// OSC 52: the app puts a text into the clipboard. It is never told what is in there.
term.parser.registerOscHandler(52, (data) => {
  const encoded = data.slice(data.indexOf(";") + 1);
  if (encoded !== "?" && encoded.length <= CLIPBOARD_MOST) {
    try {
      copy(new TextDecoder().decode(Uint8Array.from(atob(encoded), (one) => one.charCodeAt(0))));
    } catch { /* no base64 */ }
  }
  return true;
});

connect();
