/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The API at work in the daemon: its watches fill the objects (objects.h), a pod that an ADD
 * asks about and no watch has told is fetched by itself, and what people are told is written
 * back (api_status.h). All of it beside the passes: nothing waits for the API.
 */
#include <stdint.h>

#include "base/cleanup.h"
#include "config/daemon_conf.h"
#include "loop/loop.h"
#include "reconcile/reconcile.h"

struct api;

struct api_in {
	struct loop *loop;
	const struct daemon_conf *conf;
	struct reconcile *reconcile; /* with reconcile_objects */
	void (*changed)(void *data); /* an event came that changes what is in force */
	/* api_fetch_pod's: what can be known of the pod is known */
	void (*fetched)(void *data, uint64_t question);
	void *data;
};

int api_new(const struct api_in *in, struct api **ret, struct err *e);
void api_free(struct api *a);
DEFINE_CLEANUP(struct api *, api_free);

/* Of a request like reconcile_resolve's. False: there is nothing to ask for, and no fetched. */
bool api_fetch_pod(struct api *a, uint64_t question, const struct json *request);
/* Lets go what others wait for; then done, once, from the loop. False: nothing is to be done. */
bool api_end(struct api *a, void (*done)(void *data), void *data);
bool api_leads(const struct api *a); /* it holds the Lease */
/* After each pass. */
void api_passed(struct api *a);
