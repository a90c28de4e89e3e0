/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * rtnetlink: links, addresses, rules, routes and neighbours as plain structs.
 * The door to libnl (together with link.c, rule.c, route.c, neigh.c, ifaddr.c):
 * nobody above sees an nl_* type; errors are -errno with the kernel's extack text.
 *
 * Everything Sluice makes carries its mark: route and rule protocol SLU_RTPROT,
 * address protocol SLU_IFAPROT (IFA_PROTO, 5.18), link name. "Ours" below means
 * exactly that; lists return ours only unless said otherwise.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "inet/addr.h"
#include "inet/cidr.h"

#define SLU_RTPROT  83 /* 'S': rtm_protocol and FRA_PROTOCOL; free in rt_protos */
#define SLU_IFAPROT 83

struct rtnl;

/* A socket in namespace ns (-1 = the calling thread's). Not thread-safe. */
int rtnl_open(int ns, struct rtnl **ret, struct err *e);
void rtnl_close(struct rtnl *r);

/* ---- links ---- */

struct link_info {
	uint32_t ifindex;
	char name[16];
	char kind[16];	       /* IFLA_INFO_KIND: "veth", "macvlan", …, "" for hardware */
	uint32_t peer_ifindex; /* IFLA_LINK, 0 = none */
	bool has_netnsid;      /* IFLA_LINK_NETNSID given: the peer is in another namespace */
	int netnsid;
	uint32_t master; /* 0 = none */
	uint32_t mtu;
	uint32_t flags; /* IFF_* */
	uint8_t mac[6];
	bool has_mac;
	uint32_t xdp_prog; /* id of an attached XDP program, 0 = none */
};

/* One RTM_GETLINK each, never a dump. -ENODEV when it does not exist. */
int link_get(struct rtnl *r, uint32_t ifindex, struct link_info *ret, struct err *e);
/* The other end of host, a veth whose peer is in another namespace (has_netnsid). */
int link_get_peer(struct rtnl *r, const struct link_info *host, struct link_info *ret,
		  struct err *e);
int link_get_name(struct rtnl *r, const char *name, struct link_info *ret, struct err *e);
/* All links: daemon only. *ret is malloc'd. */
int link_list(struct rtnl *r, struct link_info **ret, size_t *ret_n, struct err *e);

struct link_vxlan { /* what sluice0 is */
	const char *name;
	uint16_t port;
	uint32_t mtu;
	uint8_t mac[6];
};
/* VXLAN "external" (collect metadata), learning off, NOARP, addrgenmode none, of SLU_DEVICE_GROUP,
 * down, without GRO (which may be turned on). -EEXIST. */
int link_add_vxlan(struct rtnl *r, const struct link_vxlan *l, struct err *e);
/* Whether the link of that name, *ret, is what link_add_vxlan would make (port, external, mac,
 * group, mtu: 0 = any). 1 yes, 0 no, -ENODEV. */
int link_vxlan_check(struct rtnl *r, const struct link_vxlan *l, struct link_info *ret,
		     struct err *e);
int link_set(struct rtnl *r, uint32_t ifindex, bool up, uint32_t mtu /* 0 = leave */,
	     struct err *e);
int link_set_rp_filter(struct rtnl *r, uint32_t ifindex, int value, struct err *e);
int link_del(struct rtnl *r, uint32_t ifindex, struct err *e);

/* ---- addresses ---- */

struct ifaddr {
	uint32_t ifindex;
	struct addr addr;
	uint8_t prefix_len; /* as people write it */
	bool ours;	    /* IFA_PROTO == SLU_IFAPROT */
	bool tentative, dad_failed;
};
/* Every address of the namespace, ours or not. */
int ifaddr_list(struct rtnl *r, struct ifaddr **ret, size_t *ret_n, struct err *e);
/* Those of another namespace, by the number that this one knows it under (link_info.netnsid). */
int ifaddr_list_peer(struct rtnl *r, int netnsid, struct ifaddr **ret, size_t *ret_n,
		     struct err *e);
/* IPv6: IFA_F_NODAD, preferred_lft 0 when egress (or the node would use it as its own source). 0,
 * -EEXIST. */
int ifaddr_add(struct rtnl *r, const struct ifaddr *a, bool egress, struct err *e);
int ifaddr_del(struct rtnl *r, const struct ifaddr *a, struct err *e); /* gone already = 0 */

/* ---- rules ---- */

struct fib_rule {
	int family; /* AF_INET, AF_INET6 */
	uint32_t priority;
	uint32_t mark, mask;
	uint32_t table;
};
/* Ours, of both families; *ret is malloc'd. */
int rule_list(struct rtnl *r, struct fib_rule **ret, size_t *ret_n, struct err *e);
/* -EEXIST: there is an equal one, perhaps somebody else's. */
int rule_add(struct rtnl *r, const struct fib_rule *f, struct err *e);
int rule_del(struct rtnl *r, const struct fib_rule *f, struct err *e); /* gone already = 0 */

/* ---- routes ---- */

enum route_type { ROUTE_UNICAST, ROUTE_THROW, ROUTE_UNREACHABLE };

struct route {
	struct cidr dst;
	enum route_type type;
	uint32_t table;
	uint32_t metric;     /* 0 = the kernel's default, for IPv6 too (1024 is read back as 0) */
	uint32_t ifindex;    /* unicast */
	struct addr via;     /* zero = none; with it RTNH_F_ONLINK */
	uint32_t mtu;	     /* 0 = none */
	struct addr prefsrc; /* zero = none */
};
/* Routes in table; *ret_foreign counts those that are not ours: the table is taken. */
int route_list(struct rtnl *r, uint32_t table, struct route **ret, size_t *ret_n,
	       size_t *ret_foreign, struct err *e);
int route_add(struct rtnl *r, const struct route *route, struct err *e); /* create or replace */
int route_del(struct rtnl *r, const struct route *route, struct err *e); /* gone already = 0 */
/* Where the kernel would send a packet to dst (RTM_GETROUTE): interface, preferred source, MTU of
 * the path. */
struct route_answer {
	uint32_t ifindex;
	struct addr src, gateway;
	uint32_t mtu;
};
int route_get(struct rtnl *r, struct addr dst, uint32_t mark, struct route_answer *ret,
	      struct err *e);
/* The same, only among routes by that interface. Where there is none, IPv4 answers as if dst were
 * a neighbour on it. */
int route_get_by(struct rtnl *r, struct addr dst, uint32_t ifindex, struct route_answer *ret,
		 struct err *e);
/*
 * Does the kernel deliver packets to a locally, by its routing table? For a moment after
 * ifaddr_add has returned it does not for an IPv6 address: a worker adds its route later.
 */
bool ifaddr_taken_in(struct rtnl *r, struct addr a);

/* ---- neighbours ---- */

struct neigh {
	uint32_t ifindex;
	struct addr addr;
	uint8_t mac[6];
	bool permanent;
};
int neigh_list(struct rtnl *r, uint32_t ifindex, struct neigh **ret, size_t *ret_n, struct err *e);
/* Creates or replaces; it is permanent whatever n says. */
int neigh_set(struct rtnl *r, const struct neigh *n, struct err *e);
int neigh_del(struct rtnl *r, const struct neigh *n, struct err *e); /* gone already = 0 */

/* ---- events ---- */

/* A non-blocking socket that hears links, addresses, routes, rules, neighbours and tc,
 * 1 MiB receive buffer. */
int rtnl_events_open(int ns, int *ret_fd, struct err *e);
/*
 * Reads all that is there. 0 = nothing that concerns us, 1 = something did
 * change, 2 = ENOBUFS: events were lost, look at everything. -errno.
 */
int rtnl_events_read(int fd, struct err *e);
