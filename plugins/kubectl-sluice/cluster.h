/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A cluster's objects, judged by the code that the daemons judge them with. Which node carries an
 * address is what the nodes say in the gateways' status, not what would follow from the objects.
 */
#include "../sluicectl/view.h"
#include "api.h"
#include "reconcile/objects.h"

/* The verbs, asked of a cluster. */
int cluster_status(struct ctl *ctl);
int cluster_gateways(struct ctl *ctl);
int cluster_policies(struct ctl *ctl);
int cluster_bindings(struct ctl *ctl);
int cluster_explain(struct ctl *ctl);
int cluster_support_bundle(struct ctl *ctl);

/*
 * All objects that policies are judged by. namespace NULL: of all namespaces; else what matters to
 * pods of that one. pod NULL: all pods of these. CTL_OK; else what was wrong has been said.
 */
int cluster_read(struct api *a, const char *namespace, const char *pod, struct objects **ret);
/* Whether the namespace is not there: then that has been said, and what may have been meant. */
bool cluster_lacks(struct api *a, const char *namespace);
/* Pods that have ended speak for nobody. "status.phase!=Succeeded,status.phase!=Failed" */
#define CLUSTER_PODS_ALIVE "fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed"
/* What node would do. objects are the view's, whatever happens. */
int cluster_view(const struct ctl *ctl, struct objects *take_objects, const char *node, int64_t at,
		 struct view *ret, struct err *e);
/* The same view, as another node has it. */
int cluster_view_as(struct view *v, const struct ctl *ctl, const char *node, struct err *e);
/* The pod as its node would have it on record: strings are borrowed. */
struct record cluster_record(const struct doc_pod *pod);
