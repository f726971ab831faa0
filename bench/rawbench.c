/* llama.cpp without anything around it: what the engine is measured against (see engine_raw.py).
 *
 *   rawbench MODEL CONTEXT THREADS REPACK
 *
 * Each line of standard input is one run: how many tokens to write, then the ids of the prompt. Each
 * is answered by one line of JSON: seconds of wall and of CPU time for reading the prompt and for
 * writing, and the ids written. An end of the answer is written over; the likeliest token is taken.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "llama.h"

#define BATCH 512

typedef struct {
    double wall, cpu;
} moment;

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static moment mark(void) {
    moment now = {seconds(CLOCK_MONOTONIC), seconds(CLOCK_PROCESS_CPUTIME_ID)};
    return now;
}

static void silent(enum ggml_log_level level, const char *text, void *user) {
    (void)level, (void)text, (void)user;
}

static int fail(const char *why) {
    printf("{\"error\": \"%s\"}\n", why);
    return 1;
}

/* The numbers of a line into `ids`; how many there are, -1 where there are more than `room`. */
static int numbers(char *line, llama_token *ids, int room) {
    int count = 0;
    char *next = line, *end;
    for (;; next = end) {
        long value = strtol(next, &end, 10);
        if (end == next) return count;
        if (count == room) return -1;
        ids[count++] = (llama_token)value;
    }
}

static int feed(struct llama_context *context, llama_token *ids, int count) {
    for (int at = 0; at < count; at += BATCH) {
        int size = count - at < BATCH ? count - at : BATCH;
        if (llama_decode(context, llama_batch_get_one(ids + at, size))) return 1;
    }
    llama_synchronize(context);
    return 0;
}

static int run(struct llama_context *context, struct llama_sampler *sampler, llama_token *ids, int prompt, int wanted) {
    llama_token *written = ids + prompt;
    llama_memory_clear(llama_get_memory(context), true);
    moment began = mark();
    if (feed(context, ids, prompt)) return fail("the prompt could not be decoded");
    moment read = mark();
    for (int at = 0; at < wanted; at++) {
        written[at] = llama_sampler_sample(sampler, context, -1);
        if (feed(context, written + at, 1)) return fail("a token could not be decoded");
    }
    moment ended = mark();
    printf("{\"prefill_s\": %.9f, \"prefill_cpu_s\": %.9f, \"decode_s\": %.9f, \"decode_cpu_s\": %.9f, \"ids\": [",
           read.wall - began.wall, read.cpu - began.cpu, ended.wall - read.wall, ended.cpu - read.cpu);
    for (int at = 0; at < wanted; at++) printf(at ? ", %d" : "%d", (int)written[at]);
    puts("]}");
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 5) return fail("usage: rawbench MODEL CONTEXT THREADS REPACK");
    setvbuf(stdout, NULL, _IOLBF, 0);
    llama_log_set(silent, NULL);
    llama_backend_init();

    moment began = mark();
    struct llama_model_params loading = llama_model_default_params();
    loading.use_extra_bufts = atoi(argv[4]) != 0;
    struct llama_model *model = llama_model_load_from_file(argv[1], loading);
    if (!model) return fail("the model cannot be loaded");
    struct llama_context_params computing = llama_context_default_params();
    computing.n_ctx = (uint32_t)atoi(argv[2]);
    computing.n_batch = computing.n_ubatch = BATCH;
    computing.n_threads = computing.n_threads_batch = atoi(argv[3]);
    computing.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_AUTO;
    computing.no_perf = true;
    struct llama_context *context = llama_init_from_model(model, computing);
    if (!context) return fail("there is not enough memory for the context");
    struct llama_sampler *sampler = llama_sampler_init_greedy();
    printf("{\"load_s\": %.3f}\n", mark().wall - began.wall);

    int room = (int)llama_n_ctx(context), code = 0;
    llama_token *ids = malloc(((size_t)room + 1) * sizeof *ids);
    char *line = NULL;
    size_t size = 0;
    while (!code && getline(&line, &size, stdin) > 0) {
        int count = numbers(line, ids, room + 1);
        int wanted = count > 0 ? ids[0] : 0;
        if (count < 2 || wanted < 1 || wanted > room - (count - 1))
            code = fail("a run is a number of tokens and a prompt, and both fit into the context");
        else
            code = run(context, sampler, ids + 1, count - 1, wanted);
    }
    free(line);
    free(ids);
    llama_sampler_free(sampler);
    llama_free(context);
    llama_model_free(model);
    return code;
}
