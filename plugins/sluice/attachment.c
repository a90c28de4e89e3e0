/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the pod's packets come out is asked of the pod's own interface (its
 * IFLA_LINK), not read from prevResult: some main plugins do not name the host
 * side, and a name proves nothing. An index means something only together with
 * its namespace: IFLA_LINK_NETNSID must be the number of ours.
 */
#include "attachment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "cni/result.h"
#include "kernel/bypass.h"
#include "kernel/netns.h"
#include "kernel/nsid.h"
#include "kernel/rtnl.h"
#include "policy/compile.h"

DEFINE_CLEANUP(struct rtnl *, rtnl_close);

/* Annotation with the pod's labels as a JSON object: read when the administrator enables the
 * capability. */
#define LABELS_ANNOTATION "sluice.dev/pod-labels"

/* ---- who ---- */

static char *first_of(char *take, const char *fallback)
{
	if (take && *take)
		return take;
	free(take);
	return mem_strdup(fallback);
}

/* Labels of the annotation for the keys that nobody nearer to the administrator gave. */
static void annotation_merge(const struct plugin_conf *conf, struct json *labels)
{
	__cleanup_json struct json *tree = NULL;
	const char *text;

	if (json_string(json_get(conf->annotations, LABELS_ANNOTATION), &text, NULL) < 0 ||
	    json_parse(text, strlen(text), &tree, NULL) < 0)
		return;
	for (size_t i = 0; i < json_len(tree); i++) {
		const char *key = json_key_at(tree, i), *value;

		if (!json_get(labels, key) &&
		    json_string(json_value_at(tree, i), &value, NULL) == 0)
			json_set(labels, key, json_new_string(value));
	}
}

static char *labels_make(const struct plugin_conf *conf)
{
	__cleanup_json struct json *labels = NULL;

	if (!conf->pod_labels && !json_get(conf->annotations, LABELS_ANNOTATION))
		return NULL;
	labels = conf->pod_labels ? json_dup(conf->pod_labels) : json_new_object();
	annotation_merge(conf, labels);
	return json_emit(labels, 0);
}

static struct record *record_make(const struct plugin *p)
{
	const struct cni_env *env = &p->req.env;
	struct record *rec = mem_alloc0(sizeof(*rec));
	const char *namespace = p->conf->namespace;

	rec->container_id = mem_strdup(env->container_id);
	rec->ifname = mem_strdup(env->ifname);
	rec->network = mem_strdup(p->req.name);
	rec->netns = mem_strdup(env->netns);
	rec->namespace = first_of(cni_args_get(env->args, "K8S_POD_NAMESPACE"),
				  namespace && *namespace ? namespace : "default");
	rec->pod = first_of(cni_args_get(env->args, "K8S_POD_NAME"), "");
	rec->uid = cni_args_get(env->args, "K8S_POD_UID");
	rec->labels = labels_make(p->conf);
	rec->boot_id = mem_strdup(journal_boot_id());
	rec->added_at = time(NULL);
	rec->kind = ATTACH_NONE;
	return rec;
}

/* ---- where ---- */

struct sight {
	int pod_ns, own_ns;
	struct link_info pod;
};

static int interface_get(struct sight *s, const char *ifname, struct err *e)
{
	__cleanup(rtnl_closep) struct rtnl *rtnl = NULL;
	int r;

	r = rtnl_open(s->pod_ns, &rtnl, e);
	if (r < 0)
		return cni_code_from(r, CNI_INVALID_NETNS);
	r = link_get_name(rtnl, ifname, &s->pod, e);
	if (r == -ENODEV)
		return err_set(e, CNI_INVALID_ENV, "CNI_IFNAME %s: no such interface in CNI_NETNS",
			       ifname);
	return r < 0 ? (int)cni_code_from(r, CNI_DATAPLANE) : 0;
}

/* 1 if the other end of the pod's interface is in this very namespace, 0 if not, -errno. */
static int other_end_here(const struct sight *s, struct err *e)
{
	int id, r;

	if (!s->pod.peer_ifindex || !s->pod.has_netnsid)
		return 0;
	r = nsid_get(s->pod_ns, s->own_ns, &id, e);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return id == s->pod.netnsid;
}

static void kind_set(struct attachment *a, enum attach_kind kind, const struct link_info *host)
{
	a->rec->kind = kind;
	a->rec->ifindex = host->ifindex;
	memcpy(a->rec->host_ifname, host->name, sizeof(a->rec->host_ifname));
}

/* 1 if what we attach to the host side would be the last word on the pod's packets, 0, -errno. */
static int host_side_fits(struct rtnl *rtnl, const struct link_info *host, struct attachment *a,
			  struct err *e)
{
	const char *who = "";
	int r;

	if (host->xdp_prog) {
		snprintf(a->why, sizeof(a->why), "an XDP program on %s takes packets first",
			 host->name);
		return 0;
	}
	r = bypass_find(rtnl, host, &who, e);
	if (r > 0)
		snprintf(a->why, sizeof(a->why), "%s on %s takes packets past the stack", who,
			 host->name);
	return r < 0 ? r : r == 0;
}

static int host_side_look(const struct sight *s, struct attachment *a, bool veth, struct err *e)
{
	__cleanup(rtnl_closep) struct rtnl *rtnl = NULL;
	struct link_info host;
	int r = rtnl_open(-1, &rtnl, e);

	if (r == 0)
		r = link_get(rtnl, s->pod.peer_ifindex, &host, e);
	if (r == -ENODEV) {
		snprintf(a->why, sizeof(a->why), "the host side of %s (index %u) is gone",
			 s->pod.name, s->pod.peer_ifindex);
		return 0;
	}
	if (r == 0)
		r = veth ? host_side_fits(rtnl, &host, a, e) : 1;
	if (r > 0)
		kind_set(a, veth ? ATTACH_VETH : ATTACH_MACVLAN, &host);
	return r;
}

/* -errno when it cannot be told: then nobody may take the pod for one that cannot be governed. */
static int host_side_find(const struct sight *s, struct attachment *a, struct err *e)
{
	bool veth = strcmp(s->pod.kind, "veth") == 0;
	int r = 0;

	if (!veth && strcmp(s->pod.kind, "macvlan"))
		snprintf(a->why, sizeof(a->why), "interface %s is of kind '%s'", s->pod.name,
			 *s->pod.kind ? s->pod.kind : "hardware");
	else if (!s->pod.has_mac)
		snprintf(a->why, sizeof(a->why), "interface %s has no MAC", s->pod.name);
	else if ((r = other_end_here(s, e)) == 0)
		snprintf(a->why, sizeof(a->why), "the host side of %s is in another namespace",
			 s->pod.name);
	else if (r > 0)
		r = host_side_look(s, a, veth, e);
	return r;
}

static int sight_take(const struct plugin *p, struct attachment *a, struct err *e)
{
	__cleanup_close int pod_ns = -1;
	__cleanup_close int own_ns = -1;
	struct sight s;
	int r;

	r = netns_open(p->req.env.netns, &pod_ns, e);
	if (r < 0)
		return CNI_INVALID_NETNS;
	r = netns_open_self(&own_ns, e);
	if (r < 0)
		return cni_code_from(r, CNI_INVALID_NETNS);
	s = (struct sight){.pod_ns = pod_ns, .own_ns = own_ns};
	r = interface_get(&s, p->req.env.ifname, e);
	if (r)
		return r;
	r = netns_id(pod_ns, &a->rec->netns_id);
	if (r < 0)
		return err_sys(e, r, "network namespace %s", p->req.env.netns), CNI_INVALID_NETNS;
	memcpy(a->rec->mac, s.pod.mac, sizeof(a->rec->mac));
	r = host_side_find(&s, a, e);
	return r < 0 ? (int)cni_code_from(r, CNI_DATAPLANE) : 0;
}

/* Without addresses, or with more than an entry holds, the source check could only be wrong. */
static int addresses_set(const struct plugin *p, struct attachment *a, struct err *e)
{
	struct record *rec = a->rec;
	struct cni_ip ips[RECORD_MAX_ADDRS];
	int r = cni_result_addrs(p->req.prev, rec->ifname, ips, RECORD_MAX_ADDRS, &rec->n_addrs, e);

	if (r < 0 && r != -E2BIG)
		return CNI_INVALID_CONFIG;
	for (size_t i = 0; i < rec->n_addrs; i++) {
		rec->addrs[i] = ips[i].addr;
		rec->prefix_lens[i] = ips[i].prefix_len;
	}
	if (r == 0 && rec->n_addrs)
		return 0;
	rec->kind = ATTACH_NONE;
	if (r < 0)
		snprintf(a->why, sizeof(a->why), "%.180s", e->msg);
	else
		snprintf(a->why, sizeof(a->why), "prevResult has no address for %s", rec->ifname);
	return 0;
}

int attachment_find(const struct plugin *p, struct attachment *ret, struct err *e)
{
	struct attachment a = {.rec = record_make(p)};
	int r = 0;

	if (!*a.rec->boot_id)
		r = err_set(e, CNI_IO_FAILURE, BOOT_ID_UNREAD);
	if (r == 0)
		r = sight_take(p, &a, e);
	if (r == 0)
		r = addresses_set(p, &a, e);
	if (r) {
		record_free(a.rec);
		return r;
	}
	*ret = a;
	return 0;
}

struct dp_attachment attachment_dp(const struct record *rec)
{
	struct dp_attachment a = {
		.macvlan = rec->kind == ATTACH_MACVLAN,
		.ifindex = rec->ifindex,
		.pod =
			{
				.policy = rec->policy,
				.audit = rec->audit,
				.flags = rec->flags,
				.spread = rec->spread,
				.tenant = pod_tenant(rec->namespace),
				.naddr = (uint16_t)rec->n_addrs,
			},
	};

	memcpy(a.pod.mac, rec->mac, sizeof(a.pod.mac));
	for (size_t i = 0; i < rec->n_addrs; i++)
		a.pod.addr[i] = slu_addr_make(rec->addrs[i]);
	return a;
}
