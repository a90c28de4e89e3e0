/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/api_nodes.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "reconcile/objects.h"

#define SLOTS (2 * (NODE_QUERIES_MAX + 1)) /* the old ones end when the new ones have told */

struct slot {
	struct api_nodes *nodes;
	unsigned int source;
	char *query;
	struct kube_watch *watch; /* NULL: free */
	bool told;
};

struct api_nodes {
	struct api_nodes_in in;
	struct slot slots[SLOTS];
	uint64_t serial;
	bool looked;
};

static struct objects *speak(struct slot *s)
{
	objects_speaker(s->nodes->in.objects, s->source);
	return s->nodes->in.objects;
}

/* The others are told by watch 0. */
static void spoken(struct slot *s)
{
	struct api_nodes *n = s->nodes;

	objects_speaker(n->in.objects, 0);
	n->in.told(n->in.data);
}

static void on_begin(void *data)
{
	objects_begin(speak(data), OBJECTS_NODES);
	objects_speaker(((struct slot *)data)->nodes->in.objects, 0);
}

static void on_object(void *data, const struct json *object)
{
	objects_put(speak(data), OBJECTS_NODES, object);
	spoken(data);
}

static void on_gone(void *data, const char *namespace, const char *name, const char *version)
{
	objects_gone(speak(data), OBJECTS_NODES, "", name, version);
	spoken(data);
}

static void on_unreadable(void *data, const char *namespace, const char *name, const struct err *e)
{
	objects_unreadable(speak(data), OBJECTS_NODES, "", name, e);
	objects_speaker(((struct slot *)data)->nodes->in.objects, 0);
}

static void on_synced(void *data)
{
	struct slot *s = data;

	s->told = true;
	objects_synced(speak(s), OBJECTS_NODES);
	spoken(s);
}

static void on_trouble(void *data, const struct err *e)
{
	struct slot *s = data;

	s->nodes->in.trouble(s->nodes->in.data, e);
}

static void slot_start(struct api_nodes *n, struct slot *s, const char *query)
{
	static const struct kube_watch_ops ops = {on_begin,	 on_object, on_gone,
						  on_unreadable, on_synced, on_trouble};

	*s = (struct slot){.nodes = n, .source = (unsigned int)(s - n->slots)};
	s->query = mem_strdup(query);
	s->watch = kube_watch_new(n->in.kube, objects_path(OBJECTS_NODES), query, &ops, s);
	kube_watch_want(s->watch, objects_want(OBJECTS_NODES));
	log_debug("nodes watched", "query=%s", log_quote(*query ? query : "all"));
}

static void slot_end(struct slot *s)
{
	kube_watch_free(TAKE(s->watch));
	free(s->query);
	s->query = NULL;
}

static struct slot *slot_for(struct api_nodes *n, const char *query)
{
	struct slot *unused = NULL;

	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *s = &n->slots[i];

		if (s->watch && strcmp(s->query, query) == 0)
			return s;
		if (!s->watch && !unused)
			unused = s;
	}
	if (unused)
		slot_start(n, unused, query);
	return unused;
}

static void others_end(struct api_nodes *n, uint64_t wanted)
{
	for (size_t i = 0; i < SLOTS; i++)
		if (n->slots[i].watch && !(wanted & 1ull << i)) {
			slot_end(&n->slots[i]);
			objects_silence(n->in.objects, (unsigned int)i);
		}
}

void api_nodes_look(struct api_nodes *n)
{
	struct node_queries q;
	uint64_t wanted = 0;
	bool told = true;

	if (n->looked && n->serial == objects_nodes_serial(n->in.objects))
		return;
	n->looked = true;
	n->serial = objects_nodes_serial(n->in.objects);
	objects_node_queries(n->in.objects, n->in.node, &q);
	for (size_t i = 0; i < q.n; i++) {
		const struct slot *s = slot_for(n, q.list[i]);

		if (!s) { /* as many are on their way out: once more when they are */
			q.determined = false;
			break;
		}
		wanted |= 1ull << s->source;
		told &= s->told;
	}
	objects_awaits(n->in.objects, wanted, q.determined);
	if (told && q.determined)
		others_end(n, wanted);
	node_queries_done(&q);
}

void api_nodes_again(struct api_nodes *n)
{
	for (size_t i = 0; i < SLOTS; i++)
		if (n->slots[i].watch)
			kube_watch_again(n->slots[i].watch);
}

struct api_nodes *api_nodes_new(const struct api_nodes_in *in)
{
	struct api_nodes *n = mem_alloc0(sizeof(*n));

	n->in = *in;
	api_nodes_look(n);
	return n;
}

void api_nodes_free(struct api_nodes *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		slot_end(&n->slots[i]);
	free(n);
}
