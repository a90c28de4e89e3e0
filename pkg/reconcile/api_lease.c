/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/api_lease.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "json/json.h"
#include "reconcile/leader.h"

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/"

struct api_lease {
	struct api_lease_in in;
	char *node, *namespace;
	struct loop_timer *timer;
	struct kube_call *call;
	struct lease lease;
	int64_t asked_at;
	bool absent, held, said;
	void (*released)(void *data); /* it is being let go */
	void *released_data;
};

/*
 * Where not everybody knows all nodes, gateways do: they are ranked among themselves, and the
 * others look as seldom as may be. They are many, so one of them looks soon in any case.
 */
static size_t place_of(const struct api_lease *l, const char **nodes, size_t n)
{
	const struct object *self = objects_find(l->in.objects, OBJECTS_NODES, "", l->node);
	bool all = objects_nodes_all(l->in.objects);
	size_t kept = 0;

	if (!all && !objects_is_candidate(l->in.objects, self))
		return LEASE_PLACE_LAST;
	for (size_t i = 0; i < n; i++) {
		const struct object *node = objects_at(l->in.objects, OBJECTS_NODES, i);

		if (all || objects_is_candidate(l->in.objects, node))
			nodes[kept++] = node->name;
	}
	return lease_place(l->node, nodes, kept);
}

static void timer_arm(struct api_lease *l)
{
	size_t n = objects_count(l->in.objects, OBJECTS_NODES);
	__cleanup_free const char **nodes = mem_alloc0(n * sizeof(*nodes));
	uint64_t chance = hash_str(l->node, (uint64_t)clock_ms());

	loop_timer_arm(l->timer,
		       lease_wait_ms(l->held, place_of(l, nodes, n), (uint32_t)(chance >> 20)));
}

static void held_set(struct api_lease *l)
{
	bool before = l->held;

	l->held = lease_is_ours(&l->lease, clock_ms());
	if (l->held == before)
		return;
	log_info(l->held ? "Lease taken" : "Lease lost", "name=" LEASE_NAME " namespace=%s",
		 l->namespace);
	if (l->held)
		l->in.won(l->in.data);
}

/* What is not found is only so until somebody makes it. */
static void trouble(struct api_lease *l, int status, const struct err *e)
{
	if (status == 401) /* api.c says it for all */
		return;
	if (!l->said)
		log_warn("Lease not read or written", "error=%s", log_quote(e ? e->msg : ""));
	l->said = true;
}

static void on_written(void *data, int status, const struct json *body, const struct err *e)
{
	struct api_lease *l = data;

	l->call = NULL;
	if ((status == 200 || status == 201) && body) {
		lease_taken(&l->lease, body, l->asked_at);
		l->absent = l->said = false;
	} else {
		free(l->lease.version); /* to be read anew: 409 says that somebody wrote it */
		l->lease.version = NULL;
		if (status != 409)
			trouble(l, status, e);
	}
	held_set(l);
	timer_arm(l);
}

static void on_released(void *data, int status, const struct json *body, const struct err *e)
{
	struct api_lease *l = data;

	l->call = NULL;
	l->released(l->released_data);
}

static void lease_write(struct api_lease *l)
{
	__cleanup_free char *path = mem_printf(LEASES "%s/leases%s", l->namespace,
					       l->absent ? "" : "/" LEASE_NAME);
	__cleanup_json struct json *object = NULL;
	__cleanup_free char *body = NULL;
	__cleanup_free char *time = NULL;
	char seconds[32];
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &tm));
	time = mem_printf("%s.%06ldZ", seconds, now.tv_nsec / 1000);
	object = lease_emit(&l->lease, !l->released, l->namespace, time);
	body = json_emit(object, 0);
	l->asked_at = clock_ms();
	l->call = kube_call(l->in.kube, &(struct kube_request){
						.method = l->absent ? "POST" : "PUT",
						.path = path,
						.body = body,
						.timeout_ms = LEASE_DEADLINE_MS / 2,
						.done = l->released ? on_released : on_written,
						.data = l,
					});
}

static void on_read(void *data, int status, const struct json *body, const struct err *e)
{
	struct api_lease *l = data;
	int64_t now = clock_ms();

	l->call = NULL;
	l->absent = status == 404;
	if (status == 200 && body)
		lease_seen(&l->lease, body, now);
	else if (!l->absent)
		trouble(l, status, e);
	held_set(l);
	if (l->absent || (status == 200 && body && lease_may_take(&l->lease, now)))
		lease_write(l);
	else
		timer_arm(l);
}

static void lease_read(struct api_lease *l)
{
	__cleanup_free char *path = mem_printf(LEASES "%s/leases/" LEASE_NAME, l->namespace);

	l->call = kube_call(l->in.kube, &(struct kube_request){.method = "GET",
							       .path = path,
							       .timeout_ms = LEASE_DEADLINE_MS / 2,
							       .done = on_read,
							       .data = l});
}

static void on_timer(void *data)
{
	struct api_lease *l = data;

	held_set(l);
	if (l->call)
		return;
	/* who does not know all objects has nothing to say of them */
	if (!objects_all_synced(l->in.objects))
		timer_arm(l);
	else if (l->held && l->lease.version)
		lease_write(l);
	else
		lease_read(l);
}

int api_lease_new(const struct api_lease_in *in, struct api_lease **ret, struct err *e)
{
	__cleanup(api_lease_freep) struct api_lease *l = mem_alloc0(sizeof(*l));
	int r;

	l->in = *in;
	l->node = mem_strdup(in->node);
	l->namespace = mem_strdup(in->namespace);
	l->lease.self = l->node;
	r = loop_timer_new(in->loop, on_timer, l, &l->timer, e);
	if (r < 0)
		return r;
	loop_timer_arm(l->timer, LEASE_RETRY_MS / 4);
	*ret = TAKE(l);
	return 0;
}

void api_lease_free(struct api_lease *l)
{
	if (!l)
		return;
	kube_cancel(l->call);
	loop_timer_free(l->timer);
	lease_done(&l->lease);
	free(l->node);
	free(l->namespace);
	free(l);
}

bool api_lease_release(struct api_lease *l, void (*done)(void *data), void *data)
{
	if (!api_lease_held(l) || !l->lease.version || l->released)
		return false;
	kube_cancel(l->call);
	l->released = done;
	l->released_data = data;
	loop_timer_arm(l->timer, -1);
	lease_write(l);
	return true;
}

bool api_lease_held(const struct api_lease *l)
{
	return lease_is_ours(&l->lease, clock_ms());
}
