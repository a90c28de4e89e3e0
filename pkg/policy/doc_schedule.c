/* SPDX-License-Identifier: Apache-2.0 */
/* The `schedule` of a rule. What it means is said in schedule.h. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/tz.h"
#include "policy/doc_priv.h"

#define MINUTES_OF_DAY 1440
#define ALL_DAYS       0x7f

void doc_schedule_free(struct doc_schedule *s)
{
	if (!s)
		return;
	free(s->time_zone);
	free(s->windows);
	free(s);
}

/* ---- timeZone ---- */

void doc_zones_done(struct doc_set *set)
{
	for (size_t i = 0; i < set->n_zones; i++) {
		struct doc_zone *zone = set->zones[i];

		if (zone->n_shared) {
			zone->n_shared--;
			continue;
		}
		free(zone->name);
		tz_free(zone->zone);
		free(zone);
	}
	free(set->zones);
}

void doc_set_share_zones(struct doc_set *set, const struct doc_set *other)
{
	for (size_t i = 0; i < other->n_zones; i++) {
		MEM_GROW(set->zones, set->n_zones);
		set->zones[set->n_zones++] = other->zones[i];
		other->zones[i]->n_shared++;
	}
}

static int zone_get(const struct doc_ctx *c, const char *name, const struct tz **ret, struct err *e)
{
	struct doc_set *set = c->set;
	struct tz *zone = NULL;
	int r;

	for (size_t i = 0; i < set->n_zones; i++)
		if (strcmp(set->zones[i]->name, name) == 0) {
			*ret = set->zones[i]->zone;
			return 0;
		}
	r = tz_load(name, &zone, e);
	if (r < 0)
		return r;
	MEM_GROW(set->zones, set->n_zones);
	set->zones[set->n_zones] = mem_alloc0(sizeof(**set->zones));
	*set->zones[set->n_zones++] = (struct doc_zone){.name = mem_strdup(name), .zone = zone};
	*ret = zone;
	return 0;
}

static int parse_time_zone(const struct doc_ctx *c, const struct json *j, void *out)
{
	struct doc_schedule *s = out;
	struct err e = {0};
	const char *name = "";
	int r = doc_string(c, j, DOC_MAX_STRING, &name);

	if (r < 0)
		return r;
	if (zone_get(c, name, &s->zone, &e) < 0)
		return doc_fail(c, j, "expected a time zone like Europe/Berlin, found %s: %s",
				json_show(j), e.msg);
	s->time_zone = mem_strdup(name);
	return 0;
}

/* ---- windows ---- */

/* n digits at *s, which moves behind them; -1 if there are fewer. */
static int take_digits(const char **s, int n)
{
	int v = 0;

	for (; n > 0; n--, (*s)++) {
		if (**s < '0' || **s > '9')
			return -1;
		v = v * 10 + (**s - '0');
	}
	return v;
}

static int parse_minute(const struct doc_ctx *c, const struct json *j, int max, uint16_t *ret)
{
	const char *text = "", *s;
	int h, m, r = doc_string(c, j, DOC_MAX_STRING, &text);

	if (r < 0)
		return r;
	s = text;
	h = take_digits(&s, 2);
	m = h >= 0 && *s == ':' ? (s++, take_digits(&s, 2)) : -1;
	if (m < 0 || m > 59 || h * 60 + m > max || *s)
		return doc_fail(c, j,
				"expected a time of day from \"00:00\" to \"%02d:%02d\", found %s",
				max / 60, max % 60, json_show(j));
	*ret = (uint16_t)(h * 60 + m);
	return 0;
}

static int parse_from(const struct doc_ctx *c, const struct json *j, void *out)
{
	return parse_minute(c, j, MINUTES_OF_DAY - 1, &((struct doc_window *)out)->from);
}

static int parse_until(const struct doc_ctx *c, const struct json *j, void *out)
{
	return parse_minute(c, j, MINUTES_OF_DAY, &((struct doc_window *)out)->to);
}

static int parse_day(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct choice choices[] = {{"Mon", 1}, {"Tue", 2}, {"Wed", 3}, {"Thu", 4},
						{"Fri", 5}, {"Sat", 6}, {"Sun", 0}, {NULL, 0}};
	struct doc_window *w = out;
	int v = 0, r = doc_choice(c, j, choices, &v);

	if (r < 0)
		return r;
	if (w->days >> v & 1)
		return doc_fail(c, j, "expected each day once, found %s again", json_show(j));
	w->days |= (uint8_t)(1 << v);
	return 0;
}

static int parse_days(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_list(c, j, 7, parse_day, out);
}

static int parse_window(const struct doc_ctx *c, const struct json *j, void *out)
{
	static const struct field fields[] = {
		{.name = "days", .parse = parse_days},
		{.name = "from", .parse = parse_from, .use = FIELD_REQUIRED},
		{.name = "to", .parse = parse_until, .use = FIELD_REQUIRED},
		FIELDS_END,
	};
	struct doc_schedule *s = out;
	struct doc_window w = {0};
	int r = doc_fields(c, j, fields, &w);

	if (r < 0)
		return r;
	if (w.from == w.to)
		return doc_fail(c, j,
				"expected a time from which differs from the time to; a whole "
				"day is \"00:00\" to \"24:00\"");
	if (!json_get(j, "days"))
		w.days = ALL_DAYS;
	if (w.to == 0)
		w.to = MINUTES_OF_DAY;
	MEM_GROW(s->windows, s->n_windows);
	s->windows[s->n_windows++] = w;
	return 0;
}

static int parse_windows(const struct doc_ctx *c, const struct json *j, void *out)
{
	return doc_list(c, j, DOC_MAX_WINDOWS, parse_window, out);
}

/* ---- startAt, endAt ---- */

/* "+01:00", "-07:30", "Z", in seconds east of UTC; false if it is none. */
static bool take_offset(const char **s, int *ret)
{
	char sign = *(*s)++;
	int h, m;

	*ret = 0;
	if (sign == 'Z' || sign == 'z')
		return true;
	if (sign != '+' && sign != '-')
		return false;
	h = take_digits(s, 2);
	m = h >= 0 && **s == ':' ? ((*s)++, take_digits(s, 2)) : -1;
	*ret = (h * 60 + m) * 60 * (sign == '-' ? -1 : 1);
	return m >= 0 && m < 60 && h < 24;
}

/* RFC 3339 in whole seconds: "2026-12-24T18:00:00+01:00". */
bool doc_moment(const char *s, int64_t *ret)
{
	static const char between[] = "--T::";
	static const int digits[] = {4, 2, 2, 2, 2, 2};
	int v[6], offset;
	struct tm tm, check;
	time_t t;

	for (int i = 0; i < 6; i++) {
		v[i] = take_digits(&s, digits[i]);
		if (v[i] < 0 || (i < 5 && *s++ != between[i]))
			return false;
	}
	if (!take_offset(&s, &offset) || *s || v[0] < 1970 || v[5] > 59)
		return false;
	tm = (struct tm){.tm_year = v[0] - 1900,
			 .tm_mon = v[1] - 1,
			 .tm_mday = v[2],
			 .tm_hour = v[3],
			 .tm_min = v[4],
			 .tm_sec = v[5]};
	check = tm;
	t = timegm(&check);
	/* timegm() takes 30 February for 2 March */
	if (check.tm_mon != tm.tm_mon || check.tm_mday != tm.tm_mday ||
	    check.tm_hour != tm.tm_hour || check.tm_min != tm.tm_min)
		return false;
	*ret = (int64_t)t - offset;
	return true;
}

static int parse_moment(const struct doc_ctx *c, const struct json *j, int64_t *ret)
{
	const char *s = "";
	int r = doc_string(c, j, DOC_MAX_STRING, &s);

	if (r < 0)
		return r;
	return doc_moment(s, ret) ? 0
				  : doc_fail(c, j,
					     "expected a time like 2026-12-24T18:00:00Z or "
					     "2026-12-24T18:00:00+01:00, found %s",
					     json_show(j));
}

static int parse_start(const struct doc_ctx *c, const struct json *j, void *out)
{
	return parse_moment(c, j, &((struct doc_schedule *)out)->start_at);
}

static int parse_end(const struct doc_ctx *c, const struct json *j, void *out)
{
	return parse_moment(c, j, &((struct doc_schedule *)out)->end_at);
}

/* ---- the schedule ---- */

int doc_schedule_parse(const struct doc_ctx *c, const struct json *j, struct doc_schedule **ret)
{
	static const struct field fields[] = {
		{.name = "timeZone", .parse = parse_time_zone},
		{.name = "windows", .parse = parse_windows},
		{.name = "startAt", .parse = parse_start},
		{.name = "endAt", .parse = parse_end},
		FIELDS_END,
	};
	struct doc_schedule *s = *ret = mem_alloc0(sizeof(*s));
	int r;

	s->start_at = INT64_MIN;
	s->end_at = INT64_MAX;
	r = doc_fields(c, j, fields, s);
	if (r < 0)
		return r;
	if (s->n_windows == 0 && s->start_at == INT64_MIN && s->end_at == INT64_MAX)
		return doc_fail(c, j, "expected windows, startAt or endAt, found none");
	if (s->start_at >= s->end_at)
		return doc_fail(c, json_get(j, "endAt"), "expected a time after startAt");
	if (!s->time_zone)
		s->time_zone = mem_strdup("UTC");
	return 0;
}
