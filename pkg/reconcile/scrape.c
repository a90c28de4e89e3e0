/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/scrape.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "bpf/drop_reasons.h"
#include "metrics/http.h"
#include "reconcile/api.h"
#include "reconcile/events.h"
#include "reconcile/scrape_priv.h"

struct scrape {
	struct scrape_in in;
	struct http *http;
	int64_t started_ms; /* since 1970 */
	uint64_t count;
	int64_t last_us; /* that the last one took */
};

static double seconds(int64_t ms)
{
	return (double)ms / 1e3;
}

/* ---- the node ---- */

static const char *text_of(const struct json *o, const char *key)
{
	const char *s = "";

	json_string(json_get(o, key), &s, NULL);
	return s;
}

static bool is_true(const struct json *condition)
{
	return strcmp(text_of(condition, "status"), "True") == 0;
}

static void conditions(const struct reconcile *r, struct metrics_text *t)
{
	bool ready;
	__cleanup_json struct json *list = node_conditions(r, &ready);

	metrics_put(t, READY, ready);
	for (size_t i = 0; i < json_len(list); i++)
		metrics_put(t, CONDITION, is_true(json_at(list, i)),
			    text_of(json_at(list, i), "type"));
}

static void passes(const struct reconcile *r, struct metrics_text *t)
{
	metrics_put(t, PASSES, r->passes.ok, "ok");
	metrics_put(t, PASSES, r->passes.failed, "failed");
	metrics_put(t, PASS_SECONDS, (double)r->passes.us / 1e6);
	metrics_put(t, PASS_LAST, (double)r->passes.last_us / 1e6);
	if (r->last_ok_at)
		metrics_put(t, PASS_OK_AT, seconds(wall_ms() - (clock_ms() - r->last_ok_at)));
	metrics_put(t, CHANGES, r->passes.changes);
}

static void objects(const struct reconcile *r, struct metrics_text *t)
{
	const struct objects *o = r->policies.objects;
	size_t refused = 0, unadopted = 0;
	struct pods_count pods;

	metrics_put(t, POLICIES, r->compiled ? compiled_policy_count(r->compiled) : 0);
	metrics_put(t, PROGRAMS, r->n_progs);
	metrics_put(t, PROGRAMS_REFUSED, r->n_refusals);
	for (enum collection c = 0; o && c < OBJECTS_N; c++) {
		struct objects_counts counts;

		objects_counts(o, c, &counts);
		metrics_put(t, OBJECTS, counts.n, objects_resource(c));
		refused += counts.refused;
		unadopted += counts.unadopted;
	}
	metrics_put(t, OBJECTS_REFUSED, o ? refused : r->policies.err.code != 0);
	pods_count(r, &pods);
	metrics_put(t, PODS, pods.governed, "governed");
	metrics_put(t, PODS, pods.all - pods.governed - pods.quarantined, "free");
	metrics_put(t, PODS, pods.quarantined, "quarantined");
	if (o)
		metrics_put(t, PODS_UNADOPTED, unadopted);
}

/* ---- packets ---- */

static void drops(const struct reconcile *r, struct metrics_text *t)
{
	struct slu_count bpf[SLU_REASON_MAX];
	struct nft_count sum[SLU_REASON_MAX] = {0};
	char number[SLU_REASON_MAX][4];

	if (bpf_drops(r->k.pins, bpf, NULL) < 0 || nft_counters(r->k.nft, sum, NULL) < 0)
		return;
	for (unsigned int i = 1; i < SLU_REASON_MAX; i++) {
		sum[i].packets += bpf[i].packets;
		sum[i].bytes += bpf[i].bytes;
		snprintf(number[i], sizeof(number[i]), "%u", i);
	}
	for (unsigned int i = 1; i < SLU_REASON_MAX; i++)
		if (drop_reason_name(i) != drop_reason_name(0))
			metrics_put(t, DROPPED_PACKETS, sum[i].packets, drop_reason_name(i),
				    number[i]);
	for (unsigned int i = 1; i < SLU_REASON_MAX; i++)
		if (drop_reason_name(i) != drop_reason_name(0))
			metrics_put(t, DROPPED_BYTES, sum[i].bytes, drop_reason_name(i), number[i]);
}

static void audits(const struct reconcile *r, struct metrics_text *t)
{
	struct slu_count counts[SLU_AUDIT_MAX];

	if (bpf_audits(r->k.pins, counts, NULL) < 0)
		return;
	for (unsigned int i = 0; i < SLU_AUDIT_MAX; i++)
		metrics_put(t, AUDITED_PACKETS, counts[i].packets, audit_name(i));
	for (unsigned int i = 0; i < SLU_AUDIT_MAX; i++)
		metrics_put(t, AUDITED_BYTES, counts[i].bytes, audit_name(i));
}

static void names(const struct reconcile *r, struct metrics_text *t)
{
	uint64_t counts[SLU_NAMES_MAX];
	size_t n = 0;

	if (r->compiled)
		compiled_names(r->compiled, &n);
	metrics_put(t, NAMES, n);
	if (bpf_name_counts(r->k.pins, counts, NULL) < 0)
		return;
	for (unsigned int i = 0; i < SLU_NAMES_MAX; i++)
		metrics_put(t, DNS, counts[i], names_count_name(i));
}

/* ---- the API ---- */

static void api(const struct scrape *s, struct metrics_text *t)
{
	const struct objects *o = s->in.reconcile->policies.objects;
	struct objects_counts counts[OBJECTS_N];
	int64_t told = o ? objects_told_at(o) : 0;

	if (!o)
		return;
	for (enum collection c = 0; c < OBJECTS_N; c++)
		objects_counts(o, c, &counts[c]);
	metrics_put(t, API_CONNECTED, objects_all_synced(o) && !objects_troubled(o));
	if (told)
		metrics_put(t, API_TOLD_AT, seconds(told));
	for (enum collection c = 0; c < OBJECTS_N; c++)
		metrics_put(t, API_LISTS, counts[c].lists, objects_resource(c));
	for (enum collection c = 0; c < OBJECTS_N; c++)
		metrics_put(t, API_TOLD, counts[c].told, objects_resource(c));
	for (enum collection c = 0; c < OBJECTS_N; c++)
		metrics_put(t, API_ERRORS, counts[c].errors, objects_resource(c));
	if (s->in.api)
		metrics_put(t, LEADER, api_leads(s->in.api));
}

/* ---- the process ---- */

static long resident(void)
{
	__cleanup_close int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[128] = "";
	long size, pages = 0;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return 0;
	return sscanf(text, "%ld %ld", &size, &pages) == 2 ? pages * sysconf(_SC_PAGESIZE) : 0;
}

static double processor_time(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void process(const struct scrape *s, struct metrics_text *t)
{
	metrics_put(t, CPU, processor_time());
	metrics_put(t, RSS, resident());
	metrics_put(t, STARTED, seconds(s->started_ms));
	metrics_put(t, SCRAPES, s->count);
	metrics_put(t, SCRAPE_SECONDS, (double)s->last_us / 1e6);
}

/* ---- */

static char *on_metrics(void *data, size_t *ret_len)
{
	struct scrape *s = data;
	const struct reconcile *r = s->in.reconcile;
	__cleanup(metrics_text_freep) struct metrics_text *t = metrics_text_new();
	int64_t began = clock_us();

	s->count++;
	metrics_put(t, BUILD_INFO, 1, SLUICE_VERSION);
	conditions(r, t);
	passes(r, t);
	objects(r, t);
	drops(r, t);
	audits(r, t);
	scrape_policies(r, t);
	metrics_put(t, LINES_LOST, event_log_lost(s->in.events));
	names(r, t);
	api(s, t);
	scrape_gateways(r, t);
	s->last_us = clock_us() - began;
	process(s, t);
	return metrics_text_take(t, ret_len);
}

/* The first of those conditions that keep it from being ready. */
static bool on_readyz(void *data, char *why, size_t size)
{
	const struct scrape *s = data;
	bool ready;
	__cleanup_json struct json *list = node_conditions(s->in.reconcile, &ready);

	for (size_t i = 0; !ready && i < json_len(list); i++) {
		const struct json *c = json_at(list, i);

		if (is_true(c) || !condition_counts(text_of(c, "type")))
			continue;
		snprintf(why, size, "%s: %s", text_of(c, "type"), text_of(c, "message"));
		break;
	}
	return ready;
}

int scrape_new(const struct scrape_in *in, struct scrape **ret, struct err *e)
{
	__cleanup(scrape_freep) struct scrape *s = mem_alloc0(sizeof(*s));
	const struct http_in http = {
		.loop = in->loop,
		.addr = in->conf->metrics_addr,
		.port = in->conf->metrics_port,
		.metrics = on_metrics,
		.ready = on_readyz,
		.data = s,
	};
	int rc;

	s->in = *in;
	s->started_ms = wall_ms();
	rc = http_new(&http, &s->http, e);
	if (rc < 0)
		return rc;
	*ret = TAKE(s);
	return 0;
}

void scrape_free(struct scrape *s)
{
	if (!s)
		return;
	http_free(s->http);
	free(s);
}
