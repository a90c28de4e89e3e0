/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One of our programs as a person calls it, in a folder of the test's own: what it says and how it
 * ends.
 */
extern char run_folder[64], run_output[1 << 16];

/* A folder, run_folder; setup and teardown of a test. */
int run_folder_make(void **state);
int run_folder_remove(void **state);
/* A file in it. */
void run_put(const char *name, const char *text);

/*
 * build/VARIANT/bin/NAME, or build/bin/NAME: what was built with this test, as an absolute path
 * that stays.
 */
const char *run_program(const char *name);
/* A shell command in the folder: its exit status; both streams are in run_output. */
int run_shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

void run_assert_output(const char *text, const char *file, int line);
#define assert_output(text) run_assert_output(text, __FILE__, __LINE__)
