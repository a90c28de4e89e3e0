/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * When a rule holds. A moment belongs to a window if a clock on the wall in the schedule's
 * zone, read at that moment, shows a time of the window. So, where the clocks change:
 *
 *   - of an hour that is skipped nothing happens: a window that begins in it begins when it
 *     is over (02:30-04:00 at 03:00), one that lies in it is left out that day;
 *   - an hour that comes twice counts twice: 02:15-02:45 holds two times that night, and
 *     02:30-04:00 also holds in the last half hour before the clocks go back.
 *
 * A window over midnight belongs to the days it begins on. startAt is the first second of the
 * schedule, endAt the first behind it. PURE: doc has read the zone.
 */
#include <stdbool.h>
#include <stdint.h>

struct doc_schedule;

bool schedule_active(const struct doc_schedule *s, int64_t now); /* an absent one always is */
/* The first second after now at which that changes; INT64_MAX: it never does. */
int64_t schedule_next_edge(const struct doc_schedule *s, int64_t now);
