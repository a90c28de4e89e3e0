/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "base/atomic_file.h"
#include "base/mem.h"

#define TZ_MAX_FILE (256u << 10)
#define TZ_MAX_NAME 64
#define DAY	    86400

/* A day of each year and the second of it, as in POSIX' TZ: which half of the clocks begins then */
struct tz_day {
	char kind; /* 'M': month, week, weekday; 'J': 1..365 without 29 February; 'N': 0..365 */
	int month, week, day;
	int32_t second;
};

struct tz {
	int64_t *at;	 /* ascending */
	int32_t *offset; /* from at[i] on */
	size_t n;
	int32_t first; /* before at[0] */
	bool has_rule; /* from at[n - 1] on */
	bool has_dst;
	int32_t std, dst;
	struct tz_day begin, end; /* of daylight saving */
};

void tz_free(struct tz *z)
{
	if (!z)
		return;
	free(z->at);
	free(z->offset);
	free(z);
}

/* ---- the rule at the end: "CET-1CEST,M3.5.0,M10.5.0/3" ---- */

static bool read_number(const char **s, int max, int *ret)
{
	int v = 0, digits = 0;

	for (; **s >= '0' && **s <= '9' && digits < 4; (*s)++, digits++)
		v = v * 10 + (**s - '0');
	*ret = v;
	return digits > 0 && v <= max;
}

static bool read_char(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

/* [+-]hh[:mm[:ss]] in seconds */
static bool read_time(const char **s, int32_t *ret)
{
	bool minus = read_char(s, '-');
	int h = 0, m = 0, sec = 0;

	if (!minus)
		read_char(s, '+');
	if (!read_number(s, 167, &h) || (read_char(s, ':') && !read_number(s, 59, &m)) ||
	    (read_char(s, ':') && !read_number(s, 59, &sec)))
		return false;
	*ret = (h * 60 + m) * 60 + sec;
	if (minus)
		*ret = -*ret;
	return true;
}

static bool read_abbreviation(const char **s)
{
	const char *p = *s;

	if (*p == '<') {
		p = strchr(p, '>');
		if (!p)
			return false;
		*s = p + 1;
		return true;
	}
	while ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z'))
		p++;
	if (p == *s)
		return false;
	*s = p;
	return true;
}

static bool read_day(const char **s, struct tz_day *d)
{
	bool good;

	*d = (struct tz_day){.kind = 'N', .second = 2 * 3600};
	if (!read_char(s, ','))
		return false;
	if (read_char(s, 'M')) {
		d->kind = 'M';
		good = read_number(s, 12, &d->month) && d->month >= 1 && read_char(s, '.') &&
		       read_number(s, 5, &d->week) && d->week >= 1 && read_char(s, '.') &&
		       read_number(s, 6, &d->day);
	} else if (read_char(s, 'J')) {
		d->kind = 'J';
		good = read_number(s, 365, &d->day) && d->day >= 1;
	} else {
		good = read_number(s, 365, &d->day);
	}
	return good && (!read_char(s, '/') || read_time(s, &d->second));
}

static bool read_rule(struct tz *z, const char *s)
{
	if (!*s)
		return true; /* the last transition holds for ever */
	if (!read_abbreviation(&s) || !read_time(&s, &z->std))
		return false;
	z->std = -z->std; /* POSIX counts to the west */
	z->has_rule = true;
	if (!*s)
		return true;
	z->has_dst = true;
	z->dst = z->std + 3600;
	if (!read_abbreviation(&s))
		return false;
	if (*s != ',') {
		if (!read_time(&s, &z->dst))
			return false;
		z->dst = -z->dst;
	}
	if (!read_day(&s, &z->begin) || !read_day(&s, &z->end) || *s)
		return false;
	z->has_dst = z->dst != z->std; /* else nobody would ever move his clock */
	return true;
}

/* ---- the file ---- */

struct reader {
	const uint8_t *p;
	size_t left;
};

static const uint8_t *read_bytes(struct reader *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->left < n)
		return NULL;
	r->p += n;
	r->left -= n;
	return p;
}

static int64_t big_endian(const uint8_t *p, size_t n)
{
	uint64_t v = p[0] & 0x80 ? UINT64_MAX : 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return (int64_t)v;
}

struct counts {
	size_t isut, isstd, leap, time, type, chars;
};

static bool read_header(struct reader *r, struct counts *c)
{
	const uint8_t *p = read_bytes(r, 44);
	size_t *const fields[] = {&c->isut, &c->isstd, &c->leap, &c->time, &c->type, &c->chars};

	if (!p || memcmp(p, "TZif", 4) != 0 || p[4] < '2')
		return false;
	for (size_t i = 0; i < 6; i++) {
		int64_t v = big_endian(p + 20 + 4 * i, 4);

		if (v < 0 || v > TZ_MAX_FILE)
			return false;
		*fields[i] = (size_t)v;
	}
	return true;
}

static bool read_transitions(struct reader *r, const struct counts *c, struct tz *z)
{
	const uint8_t *times = read_bytes(r, c->time * 8), *index = read_bytes(r, c->time);
	const uint8_t *types = read_bytes(r, c->type * 6);

	if (!times || !index || !types || c->type == 0 ||
	    !read_bytes(r, c->chars + c->leap * 12 + c->isstd + c->isut))
		return false;
	z->at = mem_resize(NULL, c->time + 1, sizeof(*z->at));
	z->offset = mem_resize(NULL, c->time + 1, sizeof(*z->offset));
	z->first = (int32_t)big_endian(types, 4);
	for (z->n = 0; z->n < c->time; z->n++) {
		size_t i = z->n;

		z->at[i] = big_endian(times + 8 * i, 8);
		if (index[i] >= c->type || (i && z->at[i] <= z->at[i - 1]))
			return false;
		z->offset[i] = (int32_t)big_endian(types + 6 * index[i], 4);
	}
	return true;
}

static bool read_footer(struct reader *r, struct tz *z)
{
	const uint8_t *nl = r->left ? memchr(r->p + 1, '\n', r->left - 1) : NULL;
	char rule[128];
	size_t n;

	if (!nl || *r->p != '\n')
		return false;
	n = (size_t)(nl - r->p) - 1;
	if (n >= sizeof(rule))
		return false;
	memcpy(rule, r->p + 1, n);
	rule[n] = '\0';
	return read_rule(z, rule);
}

/* What a broken file says: the sums below must not overflow. */
static bool is_sane(const struct tz *z)
{
	bool sane = z->first > -2 * DAY && z->first < 2 * DAY;

	for (size_t i = 0; i < z->n; i++)
		sane = sane && z->offset[i] > -2 * DAY && z->offset[i] < 2 * DAY;
	return sane;
}

int tz_parse(const void *data, size_t len, struct tz **ret)
{
	__cleanup_tz struct tz *z = mem_alloc0(sizeof(*z));
	struct reader r = {data, len};
	struct counts c = {0};

	/* first the form of version 1, with times of 32 bits: skipped */
	if (!read_header(&r, &c) ||
	    !read_bytes(&r, c.time * 5 + c.type * 6 + c.chars + c.leap * 8 + c.isstd + c.isut))
		return -EINVAL;
	if (!read_header(&r, &c) || !read_transitions(&r, &c, z) || !read_footer(&r, z) ||
	    !is_sane(z))
		return -EINVAL;
	*ret = TAKE(z);
	return 0;
}

/* Relative, below the folder and without dots: it is a name, not a path. */
static bool is_name(const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (!(s[i] >= 'a' && s[i] <= 'z') && !(s[i] >= 'A' && s[i] <= 'Z') &&
		    !(s[i] >= '0' && s[i] <= '9') && !strchr("_+-/", s[i]))
			return false;
	return n > 0 && n <= TZ_MAX_NAME && s[0] != '/' && s[n - 1] != '/';
}

int tz_load(const char *name, struct tz **ret, struct err *e)
{
	const char *dir = getenv("TZDIR") ?: "/usr/share/zoneinfo";
	__cleanup_close int fd = -1;
	__cleanup_free char *data = NULL;
	struct err local = {0};
	size_t len = 0;
	int r;

	if (!is_name(name))
		return err_set(e, -EINVAL, "expected a name of the tz database");
	if (strcmp(name, "UTC") == 0) {
		*ret = mem_alloc0(sizeof(**ret));
		return 0;
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : atomic_file_load(fd, name, TZ_MAX_FILE, &data, &len, &local);
	if (r == -ENOENT && fd < 0)
		return err_set(e, r, "no tz database in %s: install tzdata or set TZDIR", dir);
	if (r == -ENOENT || r == -EISDIR || r == -ENOTDIR)
		return err_set(e, -ENOENT, "no such zone in %s", dir);
	if (r < 0)
		return err_sys(e, r, "%s/%s", dir, name);
	return tz_parse(data, len, ret) == 0
		       ? 0
		       : err_set(e, -EINVAL, "%s/%s is no TZif file", dir, name);
}

/* ---- arithmetic ---- */

/* Days since 1970 of 1 January of a year, by the Gregorian calendar. */
static int64_t days_of_year(int64_t y)
{
	int64_t p = y - 1;

	return 365 * (y - 1970) + (p / 4 - 492) - (p / 100 - 19) + (p / 400 - 4);
}

static bool is_leap(int64_t y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int64_t year_of(int64_t day)
{
	int64_t y = 1970 + day / 366;

	while (days_of_year(y + 1) <= day)
		y++;
	return y;
}

static int64_t day_of(const struct tz_day *d, int64_t y)
{
	static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
	int64_t first = days_of_year(y), day;
	int leap = is_leap(y);

	if (d->kind == 'N')
		return first + d->day;
	if (d->kind == 'J')
		return first + d->day - 1 + (leap && d->day > 59);
	first += before[d->month - 1] + (leap && d->month > 2);
	/* 1 January 1970 was a Thursday */
	day = first + (d->day - (first + 4) % 7 + 7) % 7 + (d->week - 1) * 7;
	if (d->week == 5 &&
	    day >= first + before[d->month] - before[d->month - 1] + (leap && d->month == 2))
		day -= 7;
	return day;
}

/* When daylight saving begins and ends in a year, in UTC. */
static int64_t dst_begin(const struct tz *z, int64_t y)
{
	return day_of(&z->begin, y) * DAY + z->begin.second - z->std;
}

static int64_t dst_end(const struct tz *z, int64_t y)
{
	return day_of(&z->end, y) * DAY + z->end.second - z->dst;
}

/* When a year begins by standard time: which half of the clocks a rule means is asked anew then. */
static int64_t year_begin(const struct tz *z, int64_t y)
{
	return days_of_year(y) * DAY - z->std;
}

#define RULE_FIRST 0
#define RULE_LAST  ((int64_t)1 << 40) /* the year 36812: what comes after is as then */

static int64_t rule_time(int64_t t)
{
	return t < RULE_FIRST ? RULE_FIRST : t > RULE_LAST ? RULE_LAST : t;
}

static int32_t rule_offset(const struct tz *z, int64_t t)
{
	int64_t y, begin, end;

	if (!z->has_dst)
		return z->std;
	t = rule_time(t);
	y = year_of((t + z->std) / DAY);
	begin = dst_begin(z, y);
	end = dst_end(z, y);
	if (begin < end)
		return t >= begin && t < end ? z->dst : z->std;
	return t >= end && t < begin ? z->std : z->dst;
}

/* The last transition that is not after t, or SIZE_MAX. */
static size_t find(const struct tz *z, int64_t t)
{
	size_t lo = 0, hi = z->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (z->at[mid] <= t)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo - 1;
}

int32_t tz_offset(const struct tz *z, int64_t t)
{
	size_t i;

	if (!z)
		return 0;
	i = find(z, t);
	if (z->has_rule && i == z->n - 1)
		return rule_offset(z, t);
	return i == SIZE_MAX ? z->first : z->offset[i];
}

static int64_t next_entry(const struct tz *z, int64_t t)
{
	int64_t best = INT64_MAX, y;
	size_t i = find(z, t);

	if (i != z->n - 1)
		return z->at[i + 1];
	if (!z->has_rule || !z->has_dst || t >= RULE_LAST)
		return INT64_MAX;
	y = year_of(rule_time(t) / DAY);
	for (int64_t k = y > 1970 ? y - 1 : y; k <= y + 1; k++) {
		const int64_t at[] = {dst_begin(z, k), dst_end(z, k), year_begin(z, k)};

		for (size_t j = 0; j < sizeof(at) / sizeof(at[0]); j++)
			best = at[j] > t && at[j] < best ? at[j] : best;
	}
	return best;
}

/* Not every entry of a file moves the clocks: some only rename the time. */
int64_t tz_next(const struct tz *z, int64_t t)
{
	int32_t offset = tz_offset(z, t);

	if (!z)
		return INT64_MAX;
	do
		t = next_entry(z, t);
	while (t != INT64_MAX && tz_offset(z, t) == offset);
	return t;
}
