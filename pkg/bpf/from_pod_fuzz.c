/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames into slu_from_pod in the kernel, beside a reference that knows the documents
 * only (testkit/bpf_reference.h). Whatever they do not say alike is a crash. The kernel
 * gives no coverage; that of the reference and of what makes the frames leads the way.
 */
#include "testkit/fuzz_frames.h"

static bool agrees(const struct verdict *want, const struct world_run *r, unsigned int reason)
{
	uint32_t mark = want->untouched ? ENTRY_MARK : (want->mark | FOREIGN_MARK);

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {data, size};
	enum world_pod pod = script_byte(&s) % (POD_NONE + 1);
	struct world_run r;
	struct verdict want;
	struct packet p;
	unsigned int reason;
	char what[16];

	world();
	frame_make(&s, &p);
	if (!can_run(&p))
		return 0;
	pod_change(pod);
	world_run(BPF_PROG_FROM_POD, &p, ENTRY_MARK, &r);
	reason = counted();
	want = reference_from_pod(pod, p.b, p.len);
	snprintf(what, sizeof(what), "pod %d", pod);
	if (!agrees(&want, &r, reason))
		disagree(what, &p, &want, &r, reason);
	return 0;
}
