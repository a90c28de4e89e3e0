/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* meter: what the benchmarks measure with. One program, a verb each. */
#include <stdint.h>

/* ends the program with a message and exit 2 */
void fail(const char *what, ...) __attribute__((format(printf, 1, 2), noreturn));
uint64_t now_ns(void);
long number_of(const char *text);

/* calls.c */
int calls_main(int argc, char **argv);
/* flow.c */
int serve_main(int argc, char **argv);
int blast_main(int argc, char **argv);
int turns_main(int argc, char **argv);
int stream_main(int argc, char **argv);
int denials_main(int argc, char **argv);
