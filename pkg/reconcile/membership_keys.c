/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of this gateway, over edits of their file. One that cannot be read changes nothing;
 * those that were good go on, for peers may have them still (gateway/keyring.h).
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "reconcile/membership_priv.h"

static void expiry_arm(struct membership *ms)
{
	int64_t due = keyring_due(&ms->ring), now = clock_ms();

	loop_timer_arm(ms->key_timer, due == INT64_MAX ? -1 : due > now ? due - now : 0);
}

static size_t in_file(const struct keyring *ring)
{
	size_t n = 0;

	while (n < ring->n && !ring->keys[n].until)
		n++;
	return n;
}

static void on_expiry(void *data)
{
	struct membership *ms = data;
	size_t before = ms->ring.n;

	keyring_expire(&ms->ring, clock_ms());
	if (ms->ring.n != before)
		log_info("keys of gateways that left the file are not good any more", "keys=%zu",
			 before - ms->ring.n);
	expiry_arm(ms);
}

static void take(struct membership *ms, const struct keyring *file)
{
	if (ms->key_err.code)
		log_info("the file of keys is good again", "file=%s",
			 ms->in.conf->gateway_key_file);
	ms->key_err = (struct err){0};
	if (!keyring_turn(&ms->ring, file, clock_ms()))
		return;
	log_info("other keys of gateways", "file=%s keys=%zu before=%zu",
		 ms->in.conf->gateway_key_file, in_file(&ms->ring),
		 ms->ring.n - in_file(&ms->ring));
	expiry_arm(ms);
}

void membership_keys_read(struct membership *ms)
{
	struct keyring file = {0};
	struct err e = {0};

	if (!ms || !ms->in.conf->gateway_key_file)
		return;
	if (keyring_load(ms->in.conf->gateway_key_file, &file, &e) == 0) {
		take(ms, &file);
	} else {
		if (strcmp(e.msg, ms->key_err.msg) != 0)
			log_error("the keys of gateways stay as they were", "error=%s",
				  log_quote(e.msg));
		ms->key_err = e;
	}
	keyring_wipe(&file);
}

static void on_file(void *data)
{
	membership_keys_read(data);
}

/* Watched first, then read: nothing falls between. */
int membership_keys_open(struct membership *ms, struct err *e)
{
	static const uint8_t known_to_all[HEARTBEAT_KEY_MIN];
	const char *path = ms->in.conf->gateway_key_file;
	int r = 0;

	if (!path) {
		keyring_add(&ms->ring, known_to_all, sizeof(known_to_all));
		return 0;
	}
	if (ms->in.loop)
		r = file_watch_one(ms->in.loop, path, on_file, ms, &ms->key_watch, e);
	if (r == 0 && ms->in.loop)
		r = loop_timer_new(ms->in.loop, on_expiry, ms, &ms->key_timer, e);
	if (r == 0)
		r = keyring_load(path, &ms->ring, e);
	return r < 0 ? err_wrap(e, "gatewayKeyFile") : 0;
}

void membership_keys_close(struct membership *ms)
{
	file_watch_free(ms->key_watch);
	loop_timer_free(ms->key_timer);
	keyring_wipe(&ms->ring);
}

/* ---- who uses them ---- */

static uint64_t heard_under(void *data, struct addr peer)
{
	const struct membership *ms = data;

	for (size_t i = 0; i < ms->n; i++) {
		const struct compiled_node *node = &ms->peers[i].node;
		struct member_view v;

		if (!addr_eq(node->v4, peer) && !addr_eq(node->v6, peer))
			continue;
		members_get(ms->m, i, &v);
		return v.key;
	}
	return 0;
}

struct channel_keys membership_keys(struct membership *ms)
{
	return (struct channel_keys){&ms->ring, heard_under, ms};
}

const char *membership_keys_problem(const struct membership *ms)
{
	return ms && ms->key_err.code ? ms->key_err.msg : NULL;
}

struct json *membership_keys_status(const struct membership *ms)
{
	struct json *o = json_new_object();
	size_t n = in_file(&ms->ring);

	json_set(o, "inFile", json_new_int((int64_t)n));
	json_set(o, "before", json_new_int((int64_t)(ms->ring.n - n)));
	json_set(o, "problem",
		 ms->key_err.code ? json_new_string(ms->key_err.msg) : json_new_null());
	return o;
}
