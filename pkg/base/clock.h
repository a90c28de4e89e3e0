/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>

int64_t clock_ms(void);				 /* CLOCK_MONOTONIC */
int64_t clock_us(void);				 /* the same */
int64_t wall_ms(void);				 /* since 1970 */
void moment_text(int64_t wall_ms, char buf[32]); /* "2026-01-31T09:00:00Z" */
