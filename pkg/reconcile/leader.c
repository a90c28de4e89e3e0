/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/leader.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "json/json.h"

static const char *text_at(const struct json *j, const char *key)
{
	const char *s;

	return json_string(json_get(j, key), &s, NULL) == 0 ? s : "";
}

void lease_done(struct lease *l)
{
	free(l->holder);
	free(l->renewed);
	free(l->version);
	*l = (struct lease){.self = l->self};
}

static void text_set(char **to, const char *s)
{
	free(*to);
	*to = mem_strdup(s);
}

static bool differs(const char *a, const char *b)
{
	return !a || strcmp(a, b) != 0;
}

void lease_seen(struct lease *l, const struct json *object, int64_t now)
{
	const struct json *spec = json_get(object, "spec");
	const char *holder = text_at(spec, "holderIdentity"), *renewed = text_at(spec, "renewTime");
	int64_t seconds;

	if (differs(l->holder, holder) || differs(l->renewed, renewed))
		l->seen_at = now;
	if (strcmp(holder, l->self) != 0)
		l->renewed_at = 0;
	text_set(&l->holder, holder);
	text_set(&l->renewed, renewed);
	text_set(&l->version, text_at(json_get(object, "metadata"), "resourceVersion"));
	if (json_int(json_get(spec, "leaseDurationSeconds"), 1, 3600, &seconds, NULL) < 0)
		seconds = LEASE_DURATION_MS / 1000;
	l->duration = seconds * 1000;
	if (json_int(json_get(spec, "leaseTransitions"), 0, INT32_MAX - 1, &l->transitions, NULL) <
	    0)
		l->transitions = 0;
}

bool lease_may_take(const struct lease *l, int64_t now)
{
	if (!l->holder || !*l->holder || strcmp(l->holder, l->self) == 0)
		return true;
	return now - l->seen_at > l->duration;
}

bool lease_is_ours(const struct lease *l, int64_t now)
{
	return l->renewed_at && now - l->renewed_at < LEASE_DEADLINE_MS;
}

struct json *lease_emit(const struct lease *l, bool hold, const char *namespace, const char *time)
{
	struct json *o = json_new_object(), *meta = json_new_object(), *spec = json_new_object();
	bool mine = l->holder && strcmp(l->holder, l->self) == 0;

	json_set(meta, "name", json_new_string(LEASE_NAME));
	json_set(meta, "namespace", json_new_string(namespace));
	if (l->version && *l->version)
		json_set(meta, "resourceVersion", json_new_string(l->version));
	json_set(spec, "holderIdentity", json_new_string(hold ? l->self : ""));
	json_set(spec, "leaseDurationSeconds", json_new_int(LEASE_DURATION_MS / 1000));
	json_set(spec, "leaseTransitions", json_new_int(l->transitions + (l->holder && !mine)));
	json_set(spec, "renewTime", json_new_string(time));
	if (!mine)
		json_set(spec, "acquireTime", json_new_string(time));
	json_set(o, "apiVersion", json_new_string("coordination.k8s.io/v1"));
	json_set(o, "kind", json_new_string("Lease"));
	json_set(o, "metadata", meta);
	json_set(o, "spec", spec);
	return o;
}

void lease_taken(struct lease *l, const struct json *object, int64_t asked_at)
{
	lease_seen(l, object, asked_at);
	l->renewed_at = asked_at;
}

static uint64_t score(const char *node)
{
	return hash_str(node, hash_str(LEASE_NAME, 0));
}

size_t lease_place(const char *self, const char *const *nodes, size_t n)
{
	uint64_t own = score(self);
	size_t before = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t other = score(nodes[i]);

		before += other > own || (other == own && strcmp(nodes[i], self) < 0);
	}
	return before;
}

int64_t lease_wait_ms(bool ours, size_t place, uint32_t chance)
{
	int64_t ms = LEASE_RETRY_MS;

	if (!ours)
		ms = place >= LEASE_RETRY_MAX / LEASE_RETRY_MS
			     ? LEASE_RETRY_MAX
			     : LEASE_RETRY_MS * (int64_t)(place + 1);
	return ms + ms * (chance & 1023) / 1024 / 5; /* up to a fifth more */
}
