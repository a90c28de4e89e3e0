/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/schedule.h"

#include "base/tz.h"
#include "policy/doc.h"

#define DAY 86400

/*
 * Every minute of the week comes in a week, unless the clocks skip it. What has not changed
 * for two of them (and the day a clock may lose) changes only with startAt and endAt.
 */
#define HORIZON (16 * DAY)

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Does the window hold on the given day since 1970 and second of it, by the wall? */
static bool window_holds(const struct doc_window *w, int64_t day, int64_t second)
{
	unsigned weekday = (unsigned)(((day + 4) % 7 + 7) % 7), yesterday = (weekday + 6) % 7;
	int64_t from = (int64_t)w->from * 60, to = (int64_t)w->to * 60;

	if (from < to)
		return w->days >> weekday & 1 && second >= from && second < to;
	return (w->days >> weekday & 1 && second >= from) ||
	       (w->days >> yesterday & 1 && second < to);
}

bool schedule_active(const struct doc_schedule *s, int64_t now)
{
	int64_t wall, day;

	if (!s)
		return true;
	if (now < s->start_at || now >= s->end_at)
		return false;
	wall = now + tz_offset(s->zone, now);
	day = floor_div(wall, DAY);
	for (size_t i = 0; i < s->n_windows; i++)
		if (window_holds(s->windows + i, day, wall - day * DAY))
			return true;
	return s->n_windows == 0;
}

/* The next moment after t at which something may change, were the clocks to stay as they are. */
static int64_t next_candidate(const struct doc_schedule *s, int64_t t)
{
	int64_t best = tz_next(s->zone, t);
	int64_t wall = t + tz_offset(s->zone, t),
		midnight = t - (wall - floor_div(wall, DAY) * DAY);

	for (size_t i = 0; i < 2 * s->n_windows; i++) {
		const struct doc_window *w = s->windows + i / 2;
		int64_t at = midnight + (int64_t)(i % 2 ? w->to : w->from) * 60;

		at += at > t ? 0 : DAY;
		best = at < best ? at : best;
	}
	return s->end_at > t && s->end_at < best ? s->end_at : best;
}

int64_t schedule_next_edge(const struct doc_schedule *s, int64_t now)
{
	bool active = schedule_active(s, now);
	int64_t t = now, last;

	if (!s || now >= s->end_at)
		return INT64_MAX;
	if (now < s->start_at) {
		t = s->start_at;
		if (schedule_active(s, t))
			return t;
	}
	if (s->n_windows == 0)
		return s->end_at;
	last = t < INT64_MAX - HORIZON ? t + HORIZON : INT64_MAX;
	while (t < last) {
		t = next_candidate(s, t);
		if (t == INT64_MAX || schedule_active(s, t) != active)
			return t;
	}
	return active ? s->end_at : INT64_MAX;
}
