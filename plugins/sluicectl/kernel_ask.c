/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An edit of a moment ago may not be in the kernel yet, so a disagreement counts when it
 * is still there after the time the daemon needs.
 */
#include "kernel_ask.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bpf/probe.h"

DEFINE_CLEANUP(struct bpf_pins *, bpf_pins_close);

#define TRIES	 20
#define PAUSE_MS 100

static void unasked(struct kernel_answer *ret, const char *why)
{
	*ret = (struct kernel_answer){0};
	snprintf(ret->text, sizeof(ret->text), "%s", why);
}

static bool probe_of(const struct explain_query *q, const struct record *rec, struct probe *ret)
{
	*ret = (struct probe){.ifindex = rec->ifindex, .dst = q->dst, .l4_key = q->l4_key};
	memcpy(ret->mac, rec->mac, sizeof(ret->mac));
	for (size_t i = 0; i < rec->n_addrs; i++) {
		if (addr_is_v4(rec->addrs[i]) != addr_is_v4(q->dst))
			continue;
		ret->src = rec->addrs[i];
		return true;
	}
	return false;
}

static bool same(const struct explain *x, const struct probe_answer *a)
{
	if (x->by_flow && !x->reason) /* which of them it is, and how that one stands, is the
					 connection's */
		return a->id || a->reason == SLU_DROP_NO_OWNER || x->id->or_node;
	if (a->reason == SLU_REASON_MAX) /* dropped at once: no mark says which of these it was */
		return x->reason >= SLU_MARK_REASONS;
	if (a->reason != x->reason)
		return false;
	return x->addr && !x->reason ? a->id && addr_eq(a->addr, x->addr->addr) : !a->id;
}

static void say(const struct probe_answer *a, char *buf, size_t size)
{
	if (a->reason == SLU_REASON_MAX)
		snprintf(buf, size, "it drops the packet at once");
	else if (a->reason)
		snprintf(buf, size, "dropped: %s", drop_reason_name(a->reason));
	else if (a->id)
		snprintf(buf, size, "leaves as %s", addr_str(a->addr));
	else
		snprintf(buf, size, "leaves as the node");
}

static void ask(struct bpf_pins *pins, const struct probe *probe, const struct explain *x,
		struct kernel_answer *ret)
{
	const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
	struct probe_answer a;
	struct err e = {0};

	for (int i = 0; i < TRIES; i++) {
		if (bpf_probe(pins, probe, &a, &e) < 0) {
			unasked(ret, e.msg);
			return;
		}
		ret->asked = true;
		ret->agrees = same(x, &a);
		if (ret->agrees)
			return;
		nanosleep(&pause, NULL);
	}
	say(&a, ret->text, sizeof(ret->text));
}

void kernel_ask(const struct daemon_conf *conf, const struct explain_query *q,
		const struct explain *x, const struct record *rec, struct kernel_answer *ret)
{
	__cleanup(bpf_pins_closep) struct bpf_pins *pins = NULL;
	struct probe probe;
	struct err e = {0};

	*ret = (struct kernel_answer){0};
	if (!rec)
		unasked(ret, "the pod is not on record on this node");
	else if (rec->kind != ATTACH_VETH)
		unasked(ret, "the pod's interface is not a veth");
	else if (!probe_of(q, rec, &probe))
		unasked(ret, "the pod has no address of this family");
	else if (bpf_pins_open(conf->bpffs, &pins, &e) < 0)
		unasked(ret, e.msg);
	else
		ask(pins, &probe, x, ret);
}
