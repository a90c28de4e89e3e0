/* SPDX-License-Identifier: Apache-2.0 */
/* What was dropped, by reason: BPF programs and nft count apart, people see one number. */
#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "bpf/maps.h"
#include "ctl.h"
#include "kernel/nft.h"

DEFINE_CLEANUP(struct bpf_pins *, bpf_pins_close);
DEFINE_CLEANUP(struct nft *, nft_close);

static int nft_read(struct nft_count *counts, struct err *e)
{
	__cleanup(nft_closep) struct nft *n = NULL;
	int r = nft_open(&n, e);

	if (r == 0)
		r = nft_counters(n, counts, e);
	return r;
}

static int bpf_read(const char *bpffs, struct slu_count *counts, struct slu_count *audited,
		    struct err *e)
{
	__cleanup(bpf_pins_closep) struct bpf_pins *pins = NULL;
	int r = bpf_pins_open(bpffs, &pins, e);

	if (r == 0)
		r = bpf_drops(pins, counts, e);
	return r < 0 ? r : bpf_audits(pins, audited, e);
}

static void print_table(const struct nft_count *counts, bool all)
{
	static const char *const head[] = {"REASON", "NUMBER", "PACKETS", "BYTES", "MEANING"};
	__cleanup(table_freep) struct table *t = table_new(head, 5);
	size_t rows = 0;

	for (unsigned int i = 1; i < SLU_REASON_MAX; i++) {
		char number[16], packets[32], bytes[32];
		const char *cells[] = {drop_reason_name(i), number, packets, bytes,
				       drop_reason_text(i)};

		if (!counts[i].packets && (!all || cells[0] == drop_reason_name(0)))
			continue;
		snprintf(number, sizeof(number), "%u", i);
		snprintf(packets, sizeof(packets), "%" PRIu64, counts[i].packets);
		snprintf(bytes, sizeof(bytes), "%" PRIu64, counts[i].bytes);
		table_row(t, cells);
		rows++;
	}
	if (rows)
		table_print(t);
	else
		puts("nothing was dropped");
}

static void print_audits(const struct slu_count *audited, bool all)
{
	for (size_t i = 0; i < SLU_AUDIT_MAX; i++)
		if (audited[i].packets || all)
			printf("audit: %s %" PRIu64 " packets, %" PRIu64 " bytes: %s\n",
			       audit_name((unsigned int)i), (uint64_t)audited[i].packets,
			       (uint64_t)audited[i].bytes, audit_text((unsigned int)i));
}

static void append_audits(struct json *list, const struct slu_count *audited, bool all)
{
	for (size_t i = 0; i < SLU_AUDIT_MAX; i++) {
		struct json *o;

		if (!audited[i].packets && !all)
			continue;
		o = json_new_object();
		json_set(o, "audit", json_new_string(audit_name((unsigned int)i)));
		json_set(o, "packets", json_new_int((int64_t)audited[i].packets));
		json_set(o, "bytes", json_new_int((int64_t)audited[i].bytes));
		json_set(o, "meaning", json_new_string(audit_text((unsigned int)i)));
		json_append(list, o);
	}
}

static void print_json(const struct nft_count *counts, const struct slu_count *audited, bool all)
{
	__cleanup_json struct json *list = json_new_array();

	for (unsigned int i = 1; i < SLU_REASON_MAX; i++) {
		struct json *o;

		if (!counts[i].packets && (!all || drop_reason_name(i) == drop_reason_name(0)))
			continue;
		o = json_new_object();
		json_set(o, "reason", json_new_string(drop_reason_name(i)));
		json_set(o, "number", json_new_int(i));
		json_set(o, "packets", json_new_int((int64_t)counts[i].packets));
		json_set(o, "bytes", json_new_int((int64_t)counts[i].bytes));
		json_set(o, "meaning", json_new_string(drop_reason_text(i)));
		json_append(list, o);
	}
	append_audits(list, audited, all);
	ctl_print_json(list);
}

static int run(struct ctl *ctl)
{
	struct slu_count bpf[SLU_REASON_MAX] = {0}, audited[SLU_AUDIT_MAX] = {0};
	struct nft_count sum[SLU_REASON_MAX] = {0};
	struct err e = {0};
	int r;

	r = bpf_read(ctl->conf.bpffs, bpf, audited, &e);
	if (r == 0)
		r = nft_read(sum, &e);
	if (r < 0) {
		err_wrap(&e, "cannot read the counters");
		return ctl_fail(&e);
	}
	for (size_t i = 0; i < SLU_REASON_MAX; i++) {
		sum[i].packets += bpf[i].packets;
		sum[i].bytes += bpf[i].bytes;
	}
	if (ctl->json) {
		print_json(sum, audited, ctl->all);
		return CTL_OK;
	}
	print_table(sum, ctl->all);
	print_audits(audited, ctl->all);
	return CTL_OK;
}

const struct verb verb_counters = {
	.name = "counters",
	.run = run,
	.help = "counters [--all] [OPTION]…\n"
		"dropped packets by reason, and what audited policies would do\n"
		"\n"
		"  --all                also the reasons that dropped nothing\n"
		"\n"
		"Needs root. Counts since the maps and the nft table were made.\n"
		"\n",
};
