/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames into slu_from_pod in the kernel, beside a reference that knows the documents
 * only (testkit/bpf_reference.h). Whatever they do not say alike is a crash. The kernel
 * gives no coverage; that of the reference and of what makes the frames leads the way.
 */
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "testkit/bpf_reference.h"
#include "testkit/frame_script.h"

#define NEEDS_ROOT 69 /* scripts/fuzz */
#define ENTRY_MARK (SLU_MARK_MASK_DEFAULT | 0x1234u)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	if (geteuid() != 0) {
		fprintf(stderr, "needs root\n");
		exit(NEEDS_ROOT);
	}
	return 0;
}

static void disagree(enum world_pod pod, const struct packet *p, const struct verdict *want,
		     const struct world_run *r, unsigned int reason)
{
	fprintf(stderr, "pod %d, frame", pod);
	for (size_t i = 0; i < p->len; i++)
		fprintf(stderr, "%s%02x", i % 16 ? " " : "\n  ", p->b[i]);
	fprintf(stderr, "\nreference: %s, mark %#x priority %#x%s\n",
		drop_reason_name(want->reason), want->mark, want->priority,
		want->untouched ? ", untouched" : "");
	fprintf(stderr, "program: verdict %d, %s, mark %#x priority %#x\n", (int)r->verdict,
		drop_reason_name(reason), r->mark, r->priority);
	abort();
}

/* The reason that was counted since the last call, 0 = none. */
static unsigned int counted(void)
{
	static struct slu_count last[SLU_REASON_MAX];
	struct slu_count now[SLU_REASON_MAX];
	unsigned int reason = 0;

	if (bpf_drops(world_pins(), now, NULL) < 0)
		abort();
	for (unsigned int i = 0; i < SLU_REASON_MAX; i++)
		if (now[i].packets != last[i].packets)
			reason = i;
	memcpy(last, now, sizeof(last));
	return reason;
}

static bool agrees(const struct verdict *want, const struct world_run *r, unsigned int reason)
{
	uint32_t mark = want->untouched ? ENTRY_MARK : (want->mark | 0x1234u);

	if (reason != want->reason)
		return false;
	if (reason)
		return r->verdict == TC_ACT_SHOT;
	return r->verdict == (uint32_t)TC_ACT_UNSPEC && r->mark == mark &&
	       r->priority == (want->untouched ? 0 : want->priority);
}

static void pod_change(enum world_pod pod)
{
	static enum world_pod now = POD_NONE;

	if (pod != now)
		world_pod_set(pod, 0);
	now = pod;
}

/* A test run refuses what is shorter than its IP header. */
static bool can_run(const struct packet *p)
{
	uint16_t type = (uint16_t)(p->b[12] << 8 | p->b[13]);

	return p->len >= 14u + (type == 0x0800 ? 20 : type == 0x86dd ? 40 : 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {data, size};
	enum world_pod pod = script_byte(&s) % (POD_NONE + 1);
	struct world_run r;
	struct verdict want;
	struct packet p;
	unsigned int reason;

	world();
	frame_make(&s, &p);
	if (!can_run(&p))
		return 0;
	pod_change(pod);
	world_run(BPF_PROG_FROM_POD, &p, ENTRY_MARK, &r);
	reason = counted();
	want = reference_from_pod(pod, p.b, p.len);
	if (!agrees(&want, &r, reason))
		disagree(pod, &p, &want, &r, reason);
	return 0;
}
