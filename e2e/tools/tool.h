/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What slprobe and slmeter have in common. */
#include <stdint.h>

/* ends the program with a message and exit 2 */
void fail(const char *what, ...) __attribute__((format(printf, 1, 2), noreturn));
uint64_t now_ns(void);
long number_of(const char *text); /* none below 0 */
