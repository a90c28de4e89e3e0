/* SPDX-License-Identifier: Apache-2.0 */
#include "nodes.h"

#include <stdlib.h>
#include <string.h>

#include "../sluicectl/text.h"
#include "base/mem.h"
#include "conditions.h"

void node_lines_done(struct node_lines *l)
{
	nodes_forget_addresses(l);
	for (size_t i = 0; i < l->n; i++) {
		struct node_line *n = &l->list[i];

		free(n->name);
		free(n->pod);
		free(n->namespace);
		free(n->reason);
		free(n->image);
		free(n->version);
	}
	free(l->list);
	*l = (struct node_lines){0};
}

void nodes_forget_addresses(struct node_lines *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct node_line *n = &l->list[i];

		for (size_t k = 0; k < n->n_addresses; k++)
			free(n->addresses[k]);
		free(TAKE(n->addresses));
		n->n_addresses = 0;
	}
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct node_line *)a)->name, ((const struct node_line *)b)->name);
}

void node_lines_sort(struct node_lines *l)
{
	if (l->n)
		qsort(l->list, l->n, sizeof(*l->list), compare);
}

static struct node_line *line_of(struct node_lines *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->list[i].name, name) == 0)
			return &l->list[i];
	MEM_GROW(l->list, l->n);
	l->list[l->n] = (struct node_line){.name = mem_strdup(name)};
	return &l->list[l->n++];
}

void nodes_add_node(struct node_lines *l, const struct json *node)
{
	const struct json *meta = json_get(node, "metadata");
	const char *system = text_of(json_get(meta, "labels"), "kubernetes.io/os");
	struct node_line *n = line_of(l, text_of(meta, "name") ?: "?");

	n->listed = true;
	n->other_system = system && strcmp(system, "linux") != 0;
	n->ready = condition_is(condition_of(node, "Ready"), "True");
	n->schedulable = !bool_of(json_get(node, "spec"), "unschedulable");
}

#define DAEMON	"sluiced"
#define INSTALL "install" /* the init container */

static const struct json *container_in(const struct json *list, const char *which)
{
	for (size_t i = 0; i < json_len(list); i++) {
		const char *name = text_of(json_at(list, i), "name");

		if (name && strcmp(name, which) == 0)
			return json_at(list, i);
	}
	return NULL;
}

static const char *image_of(const struct json *pod, const char *list, const char *which)
{
	return text_of(container_in(json_get(json_get(pod, "spec"), list), which), "image");
}

/* "registry:5000/sluice:v1.2" → "v1.2", "…@sha256:0123…" → "sha256:0123…" */
static const char *tag_of(const struct json *pod)
{
	const char *image = image_of(pod, "containers", DAEMON), *name, *at, *tag;

	if (!image)
		return NULL;
	name = strrchr(image, '/') ?: image;
	at = strchr(name, '@');
	tag = strchr(name, ':');
	return at ? at + 1 : tag ? tag + 1 : "latest";
}

/* What "sluiced install" wrote as its container's last word, where it is of the daemon's image. */
static const char *version_of(const struct json *pod)
{
	const struct json *c = container_in(
		json_get(json_get(pod, "status"), "initContainerStatuses"), INSTALL);
	const struct json *ended = json_get(json_get(c, "state"), "terminated");
	const char *image = image_of(pod, "containers", DAEMON);
	const char *installs = image_of(pod, "initContainers", INSTALL);

	return image && installs && strcmp(image, installs) == 0 ? text_of(ended, "message") : NULL;
}

/* Why it is not ready: "CrashLoopBackOff", "ContainerCreating", "Evicted". */
static const char *reason_of(const struct json *pod, const struct json *container)
{
	const struct json *state = json_get(container, "state"), *status = json_get(pod, "status");
	const char *waits = text_of(json_get(state, "waiting"), "reason");
	const char *ended = text_of(json_get(state, "terminated"), "reason");

	if (text_of(json_get(pod, "metadata"), "deletionTimestamp"))
		return "Terminating";
	return waits ?: ended ?: text_of(status, "reason") ?: text_of(status, "phase");
}

static void replace(char **to, const char *s)
{
	free(*to);
	*to = mem_strdup(s);
}

void nodes_add_pod(struct node_lines *l, const struct json *pod)
{
	const struct json *meta = json_get(pod, "metadata"), *status = json_get(pod, "status");
	const struct json *container = container_in(json_get(status, "containerStatuses"), DAEMON);
	const char *name = text_of(json_get(pod, "spec"), "nodeName");
	struct node_line *n = name ? line_of(l, name) : NULL;

	/* while one takes another's place there are two of them */
	if (!n || (n->daemon && text_of(meta, "deletionTimestamp")))
		return;
	n->daemon = true;
	n->daemon_ready = condition_is(condition_of(pod, "Ready"), "True");
	n->restarts = int_of(container, "restartCount");
	replace(&n->pod, text_of(meta, "name"));
	replace(&n->namespace, text_of(meta, "namespace"));
	replace(&n->image, tag_of(pod));
	replace(&n->version, version_of(pod));
	replace(&n->reason, n->daemon_ready ? NULL : reason_of(pod, container));
}

void nodes_add_gateway(struct node_lines *l, const struct json *gateway)
{
	const struct json *list = json_get(json_get(gateway, "status"), "addresses");

	for (size_t i = 0; i < json_len(list); i++) {
		const char *name = text_of(json_at(list, i), "node");
		const char *address = text_of(json_at(list, i), "address");
		struct node_line *n;

		if (!name || !address)
			continue;
		n = line_of(l, name);
		MEM_GROW(n->addresses, n->n_addresses);
		n->addresses[n->n_addresses++] = mem_strdup(address);
	}
}

bool node_line_good(const struct node_line *n)
{
	return n->daemon ? n->daemon_ready : (n->other_system || !n->ready) && !n->n_addresses;
}

struct json *node_line_json(const struct node_line *n, bool pods_known, bool leader)
{
	struct json *o = json_new_object(), *addresses = json_new_array();
	bool lacks = pods_known && !n->daemon && !node_line_good(n);

	for (size_t i = 0; i < n->n_addresses; i++)
		json_append(addresses, json_new_string(n->addresses[i]));
	json_set(o, "node", json_new_string(n->name));
	json_set(o, "nodeReady", n->listed ? json_new_bool(n->ready) : json_new_null());
	json_set(o, "schedulable", n->listed ? json_new_bool(n->schedulable) : json_new_null());
	json_set(o, "daemon", pods_known ? json_new_bool(n->daemon) : json_new_null());
	json_set(o, "daemonReady", pods_known ? json_new_bool(n->daemon_ready) : json_new_null());
	json_set(o, "reason", json_new_string(lacks ? "NoPod" : n->reason));
	json_set(o, "version", json_new_string(n->version));
	json_set(o, "image", json_new_string(n->image));
	json_set(o, "restarts", json_new_int(n->restarts));
	json_set(o, "pod", json_new_string(n->pod));
	json_set(o, "writesStatus", json_new_bool(leader));
	json_set(o, "addresses", addresses);
	return o;
}
