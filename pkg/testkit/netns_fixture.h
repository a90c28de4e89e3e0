/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A network of its own for one test. The namespace dies with the process (or
 * with the next test's), so nothing needs cleaning up.
 */
#include <stddef.h>
#include <stdint.h>

/* Skips the test with a reason when not root; else this process is in a new, empty namespace, lo
 * up. */
void netns_fresh(void);
/* The same of mounts: what is mounted from here on is this process's alone. */
void mounts_fresh(void);
/* Runs a shell command in it; the test fails, with its output, unless it succeeds. */
void sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What one prints, as much as there is room for. */
void sh_output(char *buf, size_t len, const char *command);
/* The exit status of a shell command. */
int sh_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* if_nametoindex that fails the test. */
uint32_t ifindex_of(const char *name);
/* A program of this name for tc, two instructions long, with this answer to every packet. */
int tc_program(const char *name, int answer);
/* Fails the test with what e says unless rc == expected. */
void expect_rc_(long rc, long expected, const char *msg, const char *file, int line);
#define expect_rc(rc, expected, e) expect_rc_((rc), (expected), (e)->msg, __FILE__, __LINE__)
#define expect_ok(rc, e)	   expect_rc((rc), 0, (e))
