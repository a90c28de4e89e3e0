/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A client on a loop beside a fake API server. What a watch tells is written down as words
 * ("begin", "+shop/a@7", "-shop/a", "?shop/a", "synced", "trouble", "over"), and a test runs the
 * loop until it has the words that it waits for.
 */
#include "source/kube.h"
#include "source/kube_watch.h"
#include "testkit/fake_api.h"

struct fake_world {
	struct loop *loop;
	struct loop_timer *guard;
	struct fake_api *api;
	struct kube *kube;
	struct kube_watch *watch;
	char *said; /* " begin +shop/a@7 synced" */
	char trouble[512];
	const char *wanted; /* words that end the running */
	int status;	    /* of the last call */
	char *body;	    /* JSON, NULL when it had none */
	struct err e;
	unsigned int retry_after;
	int done;
};

/* Fails the test when it cannot be. With short times: back-off 10 to 100 ms, calm after 200 ms. */
void fake_world_start(struct fake_world *w, const struct fake_faults *f, fake_handler *handler,
		      void *data);
void fake_world_stop(struct fake_world *w);
/* Until words were said behind one another; they are eaten. The test fails after 30 s. */
void fake_world_until(struct fake_world *w, const char *words);
void fake_world_run_ms(struct fake_world *w, int ms);
/* A request, and the loop until it is done. */
void fake_world_call(struct fake_world *w, const struct kube_request *r);
void fake_world_done(void *data, int status, const struct json *body, const struct err *e);
/* A watch of "/api/v1/pods". */
void fake_world_watch(struct fake_world *w, const char *query);
extern const struct kube_watch_ops fake_world_ops;
