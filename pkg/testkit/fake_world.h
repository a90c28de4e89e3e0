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

/* How a list or a watch is answered. */
struct fake_turn {
	const char *text;    /* the whole list; the lines of the watch; or of an error */
	int status;	     /* 0: 200 */
	const char *type;    /* NULL: JSON */
	const char *headers; /* "Retry-After: 1\r\n"; the body is then no chunks */
	enum {
		FAKE_HOLD = 1,	 /* silence afterwards */
		FAKE_RESET = 2,	 /* a RST afterwards */
		FAKE_TORN = 4,	 /* closed in the middle of a chunk */
		FAKE_DRIP = 8,	 /* a byte at a time */
		FAKE_LORIS = 16, /* a byte, and nothing for a long time */
		FAKE_MUTE = 32	 /* a RST before anything */
	} how;
};

#define FAKE_TURNS 6
#define FAKE_ASKED 16

/*
 * The nth list and the nth watch are answered by the nth turn, the last one again and again.
 * What was asked for is kept.
 */
struct fake_script {
	struct fake_turn lists[FAKE_TURNS], watches[FAKE_TURNS]; /* those with a text */
	unsigned int n_lists, n_watches;
	char asked[FAKE_ASKED][512]; /* "L ?resourceVersion=0&limit=500", "W ?watch=true…" */
	char asked_path[FAKE_ASKED][128];
	int64_t asked_ms[FAKE_ASKED];
	unsigned int n_asked;
};
fake_handler fake_play; /* data: the script */
fake_handler fake_echo; /* answers what it was asked: its method, path, token… */

#define FAKE_POD(name, version)           \
	"{\"metadata\":{\"name\":\"" name \
	"\",\"namespace\":\"shop\",\"resourceVersion\":\"" version "\"}}"
#define FAKE_LIST_PAGE(version, next, items)                                                       \
	"{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" version \
	"\",\"continue\":\"" next "\"},\"items\":[" items "]}"
#define FAKE_LIST(version, items) FAKE_LIST_PAGE(version, "", items)
#define FAKE_EVENT(type, object)  "{\"type\":\"" type "\",\"object\":" object "}\n"
#define FAKE_STATUS(code, message) \
	"{\"kind\":\"Status\",\"code\":" code ",\"message\":\"" message "\"}"
#define FAKE_BOOKMARK(version) \
	FAKE_EVENT("BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"" version "\"}}")

/* Turns: a list of one pod; a watch that says nothing. */
#define FAKE_LIST1                                         \
	{                                                  \
		.text = FAKE_LIST("5", FAKE_POD("a", "3")) \
	}
#define FAKE_HELD                            \
	{                                    \
		.text = "", .how = FAKE_HOLD \
	}

/* Fails the test when it cannot be. With short times: back-off 10 to 100 ms, calm after 200 ms. */
void fake_world_start(struct fake_world *w, const struct fake_faults *f, fake_handler *handler,
		      void *data);
void fake_world_stop(struct fake_world *w);
/* The client made anew, with another configuration (change may be NULL). */
void fake_world_reconfigure(struct fake_world *w, void (*change)(struct kube_conf *c));
/* Until words were said behind one another; they are eaten. The test fails after 30 s. */
void fake_world_until(struct fake_world *w, const char *words);
void fake_world_run_ms(struct fake_world *w, int ms);
/* A request, and the loop until it is done. */
void fake_world_call(struct fake_world *w, const struct kube_request *r);
void fake_world_done(void *data, int status, const struct json *body, const struct err *e);
/* A watch of "/api/v1/pods". */
void fake_world_watch(struct fake_world *w, const char *query);
extern const struct kube_watch_ops fake_world_ops;
