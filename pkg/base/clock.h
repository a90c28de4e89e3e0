/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>

int64_t clock_ms(void); /* CLOCK_MONOTONIC */
