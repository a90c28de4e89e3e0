/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Two clocks: one that only runs forward, for deadlines and intervals, and the one on the wall,
 * which may jump, for what people read.
 */
#include <stdint.h>

int64_t clock_ms(void); /* CLOCK_MONOTONIC, milliseconds */
int64_t clock_us(void); /* the same in microseconds */
int64_t wall_ms(void);	/* CLOCK_REALTIME, milliseconds since 1970 */
/* A wall_ms() as RFC 3339 in UTC, in whole seconds: "2026-01-31T09:00:00Z". */
void moment_text(int64_t wall_ms, char buf[32]);
