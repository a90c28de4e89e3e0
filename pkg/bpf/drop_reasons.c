/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/drop_reasons.h"

#include "bpf/maps.h"

static const struct {
	const char *name, *text;
} reasons[SLU_REASON_MAX] = {
#define X(number, NAME, name, text) [number] = {name, text},
	SLU_DROP_REASONS(X)
#undef X
};

const char *drop_reason_name(unsigned int reason)
{
	return reason < SLU_REASON_MAX && reasons[reason].name ? reasons[reason].name : "unknown";
}

const char *drop_reason_text(unsigned int reason)
{
	return reason < SLU_REASON_MAX && reasons[reason].text ? reasons[reason].text : "unknown";
}
