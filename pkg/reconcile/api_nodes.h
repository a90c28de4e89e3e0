/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The watches of nodes: of all, or of this one and those that a few selectors name
 * (objects_node_queries). One that is not needed any more ends when the others have told theirs.
 */
#include "base/cleanup.h"
#include "source/kube_watch.h"

struct objects;
struct api_nodes;

struct api_nodes_in {
	struct kube *kube;
	struct objects *objects;
	const char *node;
	/* objects_trouble was called; something was told */
	void (*trouble)(void *data, const struct err *e);
	void (*told)(void *data);
	void *data;
};

struct api_nodes *api_nodes_new(const struct api_nodes_in *in);
void api_nodes_free(struct api_nodes *n);
/* Lists them anew. */
void api_nodes_again(struct api_nodes *n);
/* After anything was told: which are needed may be others now. */
void api_nodes_look(struct api_nodes *n);
