/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Who a pod is to the policies: from the record of its attachment and the Pod
 * object, if the image has one. The plugin and the daemon must come to the same
 * labels, so both ask here.
 *
 *	folder of files   labels that came with the ADD, then the Pod object's for
 *			  the keys that did not come; always complete: a label
 *			  nobody gave does not exist
 *	from an API	  the Pod object's alone when it is there; else those that
 *			  came, and others may exist (labels_known false)
 *	both		  and, over all, sluice.dev/pod, /network and /ifname
 */
#include "policy/image.h"
#include "state/record.h"

#define LABEL_POD     "sluice.dev/pod"
#define LABEL_NETWORK "sluice.dev/network"
#define LABEL_IFNAME  "sluice.dev/ifname"

/* Of rec only namespace, pod, network, ifname and labels are read; strings of *ret are borrowed
 * from it. */
void pod_subject(const struct image *img, const struct record *rec, struct pod_info *ret);
/* The same as if there were no Pod object: what is known is of an earlier pod of that name. */
void pod_subject_given(const struct image *img, const struct record *rec, struct pod_info *ret);
void pod_subject_done(struct pod_info *p);
