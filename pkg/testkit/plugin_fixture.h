/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The plugin's binary in a node of its own: network and mount namespace, folders
 * on a tmpfs, /run/netns for the pods, the data plane pinned on a bpffs. A test
 * makes pods, says what daemon, snapshot and `sluiced --once` would answer, and
 * calls the binary as a runtime does.
 */
#include <stdbool.h>
#include <stdint.h>

#include "bpf/maps.h"
#include "json/json.h"
#include "state/record.h"

#define NODE "/mnt" /* the tmpfs: state, run, bpf, policies.d, sluiced */

/* Setup and teardown of each test; setup skips when not root. */
int node_setup(void **state);
int node_teardown(void **state);

/* A namespace /run/netns/NAME with eth0 (10.0.0.2/24), whose host side is veth-NAME. */
void pod_make(const char *name);

/* One call of the plugin. What is NULL has the default in brackets. */
struct call {
	const char *verb;    /* [ADD] */
	const char *pod;     /* [p1]: container id, K8S_POD_NAME and namespace's name */
	const char *ifname;  /* [eth0] */
	const char *netns;   /* [/run/netns/POD]; "" sends it empty */
	const char *args;    /* [K8S_POD_NAMESPACE=default;K8S_POD_NAME=POD] */
	const char *prev;    /* [one address on eth0]; "" sends none */
	const char *conf;    /* more members of the entry, each followed by a comma */
	const char *version; /* [1.0.0] */
};

/* Exit status 0: 0. Else the error's code, -1 when there is no error object. Output: node_output().
 */
int plugin_call(const struct call *c);
const char *node_output(void); /* stdout of the last call */
/* The last error's message; "" when there was none. */
const char *node_message(void);
#define expect_call(code, ...)                                                         \
	do {                                                                           \
		int code_ = plugin_call(&(const struct call){__VA_ARGS__});            \
		if (code_ != (code))                                                   \
			fail_msg("%d, expected %d: %s", code_, (code), node_output()); \
	} while (0)

/* A daemon that answers every question with this JSON; NULL stops it. */
void daemon_set(const char *answer);
/* What it was asked last. Caller frees. */
struct json *daemon_question(void);

/* policies.d/a.yaml; the snapshot is then out of date. */
void policies_write(const char *yaml);
/* Compiles policies.d; the pod's program, if pod is not NULL, is in the kernel as policy id. */
void snapshot_write(const char *path, const char *pod, const char *pod_labels, uint32_t policy);
/* `sluiced --once`: a shell script (NULL = none). */
void once_write(const char *script);

void dataplane_load(void);
/* The pod's map entry by its host side; false when there is none. */
bool pod_entry(const char *host_ifname, struct slu_pod *ret);
/* The record of an attachment, NULL when there is none. Caller frees. */
struct record *node_record(const char *pod, const char *ifname);
/* No record, no lock file, no map entry. */
void expect_nothing_left(void);
