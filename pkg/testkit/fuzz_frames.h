/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the fuzzers of the programs share; each includes it once. */
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "testkit/bpf_reference.h"
#include "testkit/frame_script.h"

#define NEEDS_ROOT   69 /* scripts/fuzz */
#define FOREIGN_MARK 0x1234u
#define ENTRY_MARK   (SLU_MARK_MASK_DEFAULT | FOREIGN_MARK)

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

/* A test run refuses what is shorter than its IP header. */
static bool can_run(const struct packet *p)
{
	uint16_t type = (uint16_t)(p->b[12] << 8 | p->b[13]);

	return p->len >= 14u + (type == 0x0800 ? 20 : type == 0x86dd ? 40 : 1);
}

static void disagree(const char *what, const struct packet *p, const struct verdict *want,
		     const struct world_run *r, unsigned int reason)
{
	fprintf(stderr, "%s, frame", what);
	for (size_t i = 0; i < p->len; i++)
		fprintf(stderr, "%s%02x", i % 16 ? " " : "\n  ", p->b[i]);
	fprintf(stderr, "\nreference: %s, mark %#x priority %#x%s\n",
		drop_reason_name(want->reason), want->mark, want->priority,
		want->untouched ? ", untouched" : "");
	fprintf(stderr, "program: verdict %d, %s, mark %#x priority %#x\n", (int)r->verdict,
		drop_reason_name(reason), r->mark, r->priority);
	abort();
}
