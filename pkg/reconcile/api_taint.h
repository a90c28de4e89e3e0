/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * nodeTaint: true: a node that kubelet registered with the taint sluice.dev/not-ready takes pods
 * once new ones go through the chain and this node's policies are in force; then the taint is
 * taken off. It is not put back: what is in force on disk and in the kernel stays so without a
 * daemon, over a reboot, too.
 */
#include "base/cleanup.h"
#include "base/err.h"

struct api_taint;
struct kube;
struct loop;
struct reconcile;

int api_taint_new(struct loop *loop, struct kube *kube, const struct reconcile *r,
		  struct api_taint **ret, struct err *e);
void api_taint_free(struct api_taint *t);
DEFINE_CLEANUP(struct api_taint *, api_taint_free);
/* After each pass and each event: there may be something to do now. */
void api_taint_look(struct api_taint *t);
