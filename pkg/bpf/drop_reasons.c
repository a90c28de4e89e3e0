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

/* What policies in mode Audit, and denials that SluiceConfig's audit suspends, would have done. */
static const struct {
	const char *name, *text;
} audits[SLU_AUDIT_MAX] = {
	[SLU_AUDIT_WOULD_ALLOW] = {"would-allow", "dropped, and with the audited policies not"},
	[SLU_AUDIT_WOULD_DENY] = {"would-deny", "passed, and without the audit not"},
};

static const struct {
	const char *name, *text;
} names_counts[SLU_NAMES_MAX] = {
	[SLU_NAMES_ANSWERS] = {"answers", "messages from resolvers that were read"},
	[SLU_NAMES_LEARNED] = {"learned", "addresses that were learned from them"},
	[SLU_NAMES_FAILED] = {"failed", "no answer, or one that says no"},
	[SLU_NAMES_TRUNCATED] = {"truncated", "asked again by TCP"},
	[SLU_NAMES_MALFORMED] = {"malformed", "read up to what could not be understood"},
	[SLU_NAMES_LONG] = {"long", "fragments, or over 4096 bytes: the rest was not read"},
	[SLU_NAMES_FOREIGN] = {"foreign", "packets from port 53 of others than dns.resolvers"},
	[SLU_NAMES_REBOUND] = {"rebound", "inside, loopback or link-local: never learned"},
	[SLU_NAMES_EXPIRED] = {"expired", "addresses whose time was over, forgotten to make room"},
	[SLU_NAMES_PUSHED] = {"pushed", "forgotten early: their namespace has more than its share"},
	[SLU_NAMES_FULL] = {"full", "not learned: there was no room at all"},
	[SLU_NAMES_UNREAD] = {"unread", "by TCP, and the beginning had not been seen"},
};

const char *audit_name(unsigned int outcome)
{
	return outcome < SLU_AUDIT_MAX ? audits[outcome].name : "unknown";
}

const char *audit_text(unsigned int outcome)
{
	return outcome < SLU_AUDIT_MAX ? audits[outcome].text : "unknown";
}

const char *names_count_name(unsigned int what)
{
	return what < SLU_NAMES_MAX ? names_counts[what].name : "unknown";
}

const char *names_count_text(unsigned int what)
{
	return what < SLU_NAMES_MAX ? names_counts[what].text : "unknown";
}
