/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* meter: what the benchmarks measure with. One program, a verb each. */
#include "../tool.h"

/* calls.c */
int calls_main(int argc, char **argv);
/* flow.c */
int serve_main(int argc, char **argv);
int blast_main(int argc, char **argv);
int turns_main(int argc, char **argv);
int stream_main(int argc, char **argv);
int denials_main(int argc, char **argv);
