/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CHECK: is what ADD did still so, and in force? The pod's interface, its host
 * side and addresses are looked at again and compared with the record; the map
 * entry and the program by dp_check(), which also asks whether packets reach it.
 * The policy of the entry is the daemon's to change after ADD, so it is compared
 * with what governs the pod now; where nobody can say, with itself.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "attachment.h"
#include "plugin.h"
#include "resolve.h"

#define CHANGE_MS	2000
#define CHANGE_PAUSE_MS 50

static bool has_addr(const struct record *rec, struct addr a)
{
	for (size_t i = 0; i < rec->n_addrs; i++)
		if (addr_eq(rec->addrs[i], a))
			return true;
	return false;
}

/* Later plugins of the chain may have added addresses, not taken any away. */
static int identity_check(const struct record *rec, const struct attachment *seen, struct err *e)
{
	const struct record *now = seen->rec;
	const char *boot = rec->boot_id ? rec->boot_id : "";

	if (strcmp(boot, journal_boot_id()) != 0)
		return err_set(e, CNI_CHECK_FAILED, "the record is of an earlier boot");
	if (rec->netns_id != now->netns_id)
		return err_set(e, CNI_CHECK_FAILED, "CNI_NETNS is another namespace than at ADD");
	if (memcmp(rec->mac, now->mac, sizeof(rec->mac)) != 0)
		return err_set(e, CNI_CHECK_FAILED, "the MAC of %s has changed", rec->ifname);
	for (size_t i = 0; i < rec->n_addrs; i++)
		if (!has_addr(now, rec->addrs[i]))
			return err_set(e, CNI_CHECK_FAILED, "prevResult has no longer address %s",
				       addr_str(rec->addrs[i]));
	if (rec->kind == ATTACH_NONE)
		return 0;
	if (now->kind == ATTACH_NONE)
		return err_set(e, CNI_CHECK_FAILED, "%s", seen->why);
	if (rec->kind != now->kind || rec->ifindex != now->ifindex)
		return err_set(e, CNI_CHECK_FAILED,
			       "the host side of %s is not %s (index %u) any more", rec->ifname,
			       rec->host_ifname, rec->ifindex);
	return 0;
}

/* The words that are not ADD's to fix, as they stand in the entry. */
static int entry_get(struct bpf_pins *pins, struct record *rec, struct err *e)
{
	struct slu_pod pod;
	int r;

	if (rec->kind == ATTACH_MACVLAN) {
		struct slu_macvlan_key key = {.parent = rec->ifindex};

		memcpy(key.mac, rec->mac, sizeof(key.mac));
		r = bpf_map_lookup(pins, BPF_MAP_MACVLANS, &key, &pod, e);
	} else {
		r = bpf_map_lookup(pins, BPF_MAP_PODS, &rec->ifindex, &pod, e);
	}
	if (r < 0)
		return r;
	rec->policy = pod.policy;
	rec->flags = pod.flags;
	rec->spread = pod.spread;
	return 0;
}

/* -ESTALE when the entry is not what it should be. */
static int entry_check(struct plugin *p, struct bpf_pins *pins, struct record *rec, struct err *e)
{
	struct dp_attachment a;
	int r = 0;

	if (!resolve_look(p, rec))
		r = entry_get(pins, rec, e);
	if (r < 0)
		return r;
	a = attachment_dp(rec);
	r = dp_names_of(pins, &a, e);
	return r < 0 ? r : dp_check(pins, &a, e);
}

/*
 * The daemon answers by policies that were written a moment ago and switches the entries
 * then: what differs during a change gets the time that the daemon has for it.
 */
static int kernel_check(struct plugin *p, struct record *rec, struct err *e)
{
	static const struct timespec pause = {.tv_nsec = CHANGE_PAUSE_MS * 1000000L};
	__cleanup(bpf_pins_closep) struct bpf_pins *pins = NULL;
	int r = bpf_pins_open(p->conf->bpffs, &pins, e);

	if (r < 0)
		return CNI_CHECK_FAILED;
	r = entry_check(p, pins, rec, e);
	for (int waited = 0; r == -ESTALE && waited < CHANGE_MS; waited += CHANGE_PAUSE_MS) {
		nanosleep(&pause, NULL);
		r = entry_check(p, pins, rec, e);
	}
	return r < 0 ? CNI_CHECK_FAILED : 0;
}

static int record_check(struct plugin *p, const struct attachment *seen, struct err *e)
{
	const struct record *now = seen->rec;
	__cleanup(record_freep) struct record *rec = NULL;
	int r;

	if (!plugin_has_state(p))
		return err_set(e, CNI_CHECK_FAILED, "there is no record of this attachment");
	r = plugin_open(p, e);
	if (r)
		return r;
	r = journal_load(p->journal, now->container_id, now->ifname, &rec, e);
	if (r == -ENOENT)
		return err_set(e, CNI_CHECK_FAILED, "there is no record of this attachment");
	if (r < 0)
		return cni_code_from(r, CNI_STATE);
	r = identity_check(rec, seen, e);
	if (r == 0 && rec->kind != ATTACH_NONE)
		r = kernel_check(p, rec, e);
	return r;
}

int verb_check(struct plugin *p, struct err *e)
{
	struct attachment now = {0};
	int r;

	if (!p->req.prev)
		return err_set(e, CNI_INVALID_CONFIG,
			       "missing prevResult: CHECK needs ADD's result");
	r = attachment_find(p, &now, e);
	if (r)
		return r;
	r = record_check(p, &now, e);
	record_free(now.rec);
	return r;
}
