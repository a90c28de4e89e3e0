/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/api_events.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "json/json.h"
#include "reconcile/objects_priv.h"

#define EVENTS	 64 /* said lately */
#define SAME_MS	 600000
#define WRITE_MS 60000 /* between two writes of one Event */
#define FLIGHT	 8

/* One that was said lately; the oldest makes room. */
struct said {
	uint64_t key;
	char *path, *name; /* of the namespace's Events, and its own */
	int64_t at, written_at, count;
};

struct flight {
	struct api_events *events;
	struct kube_call *call; /* NULL: free */
};

struct api_events {
	struct kube *kube;
	char *node;
	struct said said[EVENTS];
	struct flight flights[FLIGHT];
	bool trouble;
};

struct api_events *api_events_new(struct kube *kube, const char *node)
{
	struct api_events *e = mem_alloc0(sizeof(*e));

	e->kube = kube;
	e->node = mem_strdup(node);
	for (size_t i = 0; i < FLIGHT; i++)
		e->flights[i].events = e;
	return e;
}

static void said_done(struct said *s)
{
	free(s->path);
	free(s->name);
	*s = (struct said){0};
}

void api_events_free(struct api_events *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < FLIGHT; i++)
		kube_cancel(e->flights[i].call);
	for (size_t i = 0; i < EVENTS; i++)
		said_done(&e->said[i]);
	free(e->node);
	free(e);
}

/* ---- writing ---- */

static void on_written(void *data, int status, const struct json *body, const struct err *why)
{
	struct flight *f = data;
	bool bad = status != 200 && status != 201;

	f->call = NULL;
	if (bad && !f->events->trouble && status != 401)
		log_warn("Event not written", "error=%s", log_quote(why ? why->msg : ""));
	f->events->trouble = bad;
}

static void event_send(struct api_events *e, const char *method, const char *path,
		       const struct json *object)
{
	__cleanup_free char *body = json_emit(object, 0);

	for (size_t i = 0; i < FLIGHT; i++) {
		struct flight *f = &e->flights[i];

		if (f->call)
			continue;
		f->call = kube_call(e->kube, &(struct kube_request){
						     .method = method,
						     .path = path,
						     .content_type = strcmp(method, "PATCH") == 0
									     ? KUBE_MERGE
									     : KUBE_JSON,
						     .body = body,
						     .timeout_ms = 10000,
						     .done = on_written,
						     .data = f,
					     });
		return;
	}
}

static void now_text(char buf[32])
{
	time_t now = time(NULL);
	struct tm tm;

	strftime(buf, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
}

static struct json *about(const struct event_said *s)
{
	struct json *o = json_new_object();

	json_set(o, "apiVersion", json_new_string(object_kinds[s->c].api_version));
	json_set(o, "kind", json_new_string(object_kinds[s->c].kind));
	if (*s->namespace)
		json_set(o, "namespace", json_new_string(s->namespace));
	json_set(o, "name", json_new_string(s->name));
	if (s->uid)
		json_set(o, "uid", json_new_string(s->uid));
	return o;
}

static void event_create(struct api_events *e, const struct said *as, const struct event_said *s,
			 const char *message)
{
	__cleanup_json struct json *o = json_new_object();
	struct json *meta = json_new_object(), *source = json_new_object();
	char now[32];

	now_text(now);
	json_set(meta, "name", json_new_string(as->name));
	json_set(source, "component", json_new_string("sluiced"));
	json_set(source, "host", json_new_string(e->node));
	json_set(o, "apiVersion", json_new_string("v1"));
	json_set(o, "kind", json_new_string("Event"));
	json_set(o, "metadata", meta);
	json_set(o, "involvedObject", about(s));
	json_set(o, "reason", json_new_string(s->reason));
	json_set(o, "message", json_new_string(message));
	json_set(o, "type", json_new_string(s->warning ? "Warning" : "Normal"));
	json_set(o, "source", source);
	json_set(o, "firstTimestamp", json_new_string(now));
	json_set(o, "lastTimestamp", json_new_string(now));
	json_set(o, "count", json_new_int(1));
	json_set(o, "reportingComponent", json_new_string("sluice.dev/sluiced"));
	json_set(o, "reportingInstance", json_new_string(e->node));
	event_send(e, "POST", as->path, o);
}

static void event_count(struct api_events *e, const struct said *as)
{
	__cleanup_json struct json *o = json_new_object();
	__cleanup_free char *path = mem_printf("%s/%s", as->path, as->name);
	char now[32];

	now_text(now);
	json_set(o, "count", json_new_int(as->count));
	json_set(o, "lastTimestamp", json_new_string(now));
	event_send(e, "PATCH", path, o);
}

/* ---- saying ---- */

static struct said *said_find(struct api_events *e, uint64_t key, int64_t now)
{
	struct said *oldest = &e->said[0];

	for (size_t i = 0; i < EVENTS; i++) {
		struct said *s = &e->said[i];

		if (s->key == key && now - s->at < SAME_MS)
			return s;
		if (s->at < oldest->at)
			oldest = s;
	}
	said_done(oldest);
	return oldest;
}

void api_event(struct api_events *e, const struct event_said *said, const char *fmt, ...)
{
	char message[1024];
	int64_t now = clock_ms();
	struct said *s;
	uint64_t key;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	key = hash_str(message, hash_str(said->reason, hash_str(said->namespace,
								hash_str(said->name, said->c)))) |
	      1;
	s = said_find(e, key, now);
	s->at = now;
	s->count++;
	if (!s->key) {
		s->key = key;
		s->written_at = now;
		s->path = mem_printf("/api/v1/namespaces/%s/events",
				     *said->namespace ? said->namespace : "default");
		s->name = mem_printf("%.200s.%016" PRIx64, said->name,
				     hash_bytes(&now, sizeof(now), hash_str(e->node, key)));
		event_create(e, s, said, message);
	} else if (now - s->written_at > WRITE_MS) {
		s->written_at = now;
		event_count(e, s);
	}
}
