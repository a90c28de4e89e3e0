/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/nft_ruleset.h"

#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter_bridge.h>

#define RAW	      "prerouting_raw"
#define FIRST	      "prerouting_first"
#define MARKS	      "prerouting_marks"
#define INPUT	      "input_first"
#define OUTPUT	      "output_tunnel"
#define NAT	      "postrouting_nat"
#define EXIT	      "postrouting_exit"
#define RAW_PLAIN     "raw_plain"
#define OUTER	      "outer"
#define PLAIN	      "plain"
#define CHECKED	      "checked"
#define JUDGED	      "judged"
#define ALLOWED	      "allowed"
#define REPLIES	      "replies"
#define ARRIVED	      "arrived"
#define REJECTED      "rejected"
#define SERVICE	      "service"
#define ENDPOINT      "endpoint"
#define STRAY	      "stray"
#define UNJUDGED      "unjudged"
#define UNMARKED_HERE "unmarked"
#define GUARD	      "guard"
#define MADE_HERE     "made_here"
#define FORGED	      "forged"
#define OUTGOING      "outgoing"
#define BARE	      "bare"
#define INTO_TUNNEL   "into_tunnel"

static const struct chain_def chains[] = {
	{RAW_PLAIN, NULL, 0, 0},
	{OUTER, NULL, 0, 0},
	{PLAIN, NULL, 0, 0},
	{CHECKED, NULL, 0, 0},
	{JUDGED, NULL, 0, 0},
	{ALLOWED, NULL, 0, 0},
	{REPLIES, NULL, 0, 0},
	{ARRIVED, NULL, 0, 0},
	{REJECTED, NULL, 0, 0},
	{SERVICE, NULL, 0, 0},
	{ENDPOINT, NULL, 0, 0},
	{STRAY, NULL, 0, 0},
	{UNJUDGED, NULL, 0, 0},
	{UNMARKED_HERE, NULL, 0, 0},
	{GUARD, NULL, 0, 0},
	{MADE_HERE, NULL, 0, 0},
	{FORGED, NULL, 0, 0},
	{OUTGOING, NULL, 0, 0},
	{BARE, NULL, 0, 0},
	{INTO_TUNNEL, NULL, 0, 0},
	{RAW, "filter", NF_INET_PRE_ROUTING, -300},
	{FIRST, "nat", NF_INET_PRE_ROUTING, -150},
	{MARKS, "filter", NF_INET_PRE_ROUTING, -99}, /* behind translation */
	{INPUT, "nat", NF_INET_LOCAL_IN, -150},
	{OUTPUT, "filter", NF_INET_LOCAL_OUT, -300},
	{NAT, "nat", NF_INET_POST_ROUTING, -150},
	{EXIT, "filter", NF_INET_POST_ROUTING, 150},
};

#define UDP_PORT                       \
	{                              \
		STEP_UDP_PORT, 0, NULL \
	}
#define UNMARKED                       \
	{                              \
		STEP_UNMARKED, 0, NULL \
	}
#define DIVERTED                       \
	{                              \
		STEP_DIVERTED, 0, NULL \
	}
#define ADDRESS_ID                       \
	{                                \
		STEP_ADDRESS_ID, 0, NULL \
	}
#define MARK_IS(id)                    \
	{                              \
		STEP_MARK_IS, id, NULL \
	}
#define IIF_TUNNEL                         \
	{                                  \
		STEP_IIF, NFT_CMP_EQ, NULL \
	}
#define IIF_OTHER                           \
	{                                   \
		STEP_IIF, NFT_CMP_NEQ, NULL \
	}
#define OIF_TUNNEL                         \
	{                                  \
		STEP_OIF, NFT_CMP_EQ, NULL \
	}
#define OIF_OTHER                           \
	{                                   \
		STEP_OIF, NFT_CMP_NEQ, NULL \
	}
#define DIRECTION(d)                                \
	{                                           \
		STEP_DIRECTION, IP_CT_DIR_##d, NULL \
	}
#define STATE(bits)                    \
	{                              \
		STEP_STATE, bits, NULL \
	}
#define L4(proto)                              \
	{                                      \
		STEP_L4, IPPROTO_##proto, NULL \
	}
#define DADDR_IN(set)                    \
	{                                \
		STEP_DADDR_IN, set, NULL \
	}
#define OWNED_IN(set)                    \
	{                                \
		STEP_OWNED_IN, set, NULL \
	}
#define SERVICE_IN(set)                    \
	{                                  \
		STEP_SERVICE_IN, set, NULL \
	}
#define CLEAR                       \
	{                           \
		STEP_CLEAR, 0, NULL \
	}
#define PRIORITY(p)                                   \
	{                                             \
		STEP_PRIORITY, SLU_PRIORITY_##p, NULL \
	}
#define PRIORITY_NONE                  \
	{                              \
		STEP_PRIORITY, 0, NULL \
	}
#define ACCEPT                                \
	{                                     \
		STEP_VERDICT, NF_ACCEPT, NULL \
	}
#define DROP                                \
	{                                   \
		STEP_VERDICT, NF_DROP, NULL \
	}
#define COUNT(reason)                               \
	{                                           \
		STEP_COUNT, SLU_DROP_##reason, NULL \
	}
#define GOTO(chain)                 \
	{                           \
		STEP_GOTO, 0, chain \
	}
#define JUMP(chain)                 \
	{                           \
		STEP_JUMP, 0, chain \
	}
#define SADDR_IN(set)                    \
	{                                \
		STEP_SADDR_IN, set, NULL \
	}
#define DO(what)                     \
	{                            \
		STEP_##what, 0, NULL \
	}

/*
 * What a packet of an open connection pays for comes first: each rule that is looked at
 * costs as much as two matches, each chain at a hook as four rules, a look-up as two
 * (e2e/bench/README.md). So a packet is told by its priority, which from_pod wrote, and
 * what is decided once for a connection stands in chains of type nat, which the kernel asks
 * about its first packet only.
 */
static const struct rule_def rules[] = {
	{RAW, "not from a pod", {PRIORITY_NONE, GOTO(RAW_PLAIN)}},
	{RAW,
	 "we are in force: DIVERT only where it is meant; an address is a zone",
	 {PRIORITY(LOCAL), DO(RELEASE_ZONE), ACCEPT}},
	{RAW, "", {PRIORITY(TUNNEL), DO(ZONE), ACCEPT}},
	{RAW, "a node's request", {IIF_TUNNEL, DIVERTED, DO(RELEASE_ZONE), ACCEPT}},
	{RAW, "", {PRIORITY(RELEASE), DO(RELEASE), ACCEPT}},
	{RAW, "", {PRIORITY(VERDICT), DO(RELEASE), ACCEPT}},
	{RAW, "", {UDP_PORT, DO(VXLAN), GOTO(OUTER)}},

	{RAW_PLAIN,
	 "an answer to the port may be for one who was masqueraded",
	 {UDP_PORT, DO(VXLAN), GOTO(OUTER)}},

	{OUTER, "the tunnel to this host", {DADDR_IN(NFT_SET_ENDS4), DO(NOTRACK)}},
	{OUTER, "", {DADDR_IN(NFT_SET_ENDS6), DO(NOTRACK)}},

	{FIRST, "if its mark is lost, it does not leave", {PRIORITY(LOCAL), DO(CT_IDENTITY)}},
	{FIRST, "", {PRIORITY(TUNNEL), DO(CT_IDENTITY)}},
	{FIRST,
	 "answered as whom it was sent to, not as an endpoint",
	 {PRIORITY(VERDICT), MARK_IS(SLU_DROP_REJECTED), GOTO(REJECTED)}},

	{MARKS, "not from a pod", {PRIORITY_NONE, GOTO(PLAIN)}},
	{MARKS, "", {DO(IDENTITY), DO(AS_SENT), DIRECTION(ORIGINAL), ACCEPT}},
	{MARKS, "", {IIF_TUNNEL, GOTO(ARRIVED)}},
	{MARKS, "replies keep the connection's way", {DIRECTION(REPLY), GOTO(REPLIES)}},
	{MARKS, "", {PRIORITY(SEEN), ACCEPT}},
	{MARKS, "", {PRIORITY(RELEASE), GOTO(CHECKED)}},
	{MARKS, "", {PRIORITY(VERDICT), GOTO(JUDGED)}},
	{MARKS, "", {GOTO(PLAIN)}},

	{PLAIN, "", {DIRECTION(REPLY), GOTO(REPLIES)}},
	{PLAIN, "the tunnel itself", {UDP_PORT, STATE(STATE_UNTRACKED), IIF_OTHER, ACCEPT}},
	{PLAIN, "", {IIF_TUNNEL, GOTO(ARRIVED)}},
	{PLAIN, "", {UNMARKED, GOTO(UNMARKED_HERE)}},
	{PLAIN, "translated: judge the new destination", {DO(ANY_ID), DO(DNATTED), GOTO(SERVICE)}},
	{PLAIN, "no connection, or somebody wrote over the priority", {DO(ANY_ID), ACCEPT}},
	{PLAIN, "", {GOTO(CHECKED)}},

	{UNMARKED_HERE, "its program was taken off", {SADDR_IN(NFT_SET_GOVERNED4), GOTO(UNJUDGED)}},
	{UNMARKED_HERE, "", {SADDR_IN(NFT_SET_GOVERNED6), GOTO(UNJUDGED)}},
	{UNMARKED_HERE, "", {STATE(STATE_INVALID), GOTO(GUARD)}},

	{CHECKED, "", {MARK_IS(SLU_ID_CHECK), GOTO(ALLOWED)}},
	{CHECKED, "", {UNMARKED, GOTO(ALLOWED)}},
	{CHECKED, "", {GOTO(JUDGED)}},

	{JUDGED, "", {MARK_IS(SLU_DROP_REJECTED), GOTO(REJECTED)}},
	{JUDGED, "", {DO(COUNT_REASON), DROP}},
	{JUDGED, "somebody wrote over it", {COUNT(EXIT_SOURCE), DROP}},

	{ALLOWED, "translated: judge the new destination", {DO(DNATTED), GOTO(SERVICE)}},
	{ALLOWED,
	 "about a connection with an identity: this is none",
	 {STATE(STATE_INVALID), L4(ICMP), GOTO(STRAY)}},
	{ALLOWED, "", {STATE(STATE_INVALID), L4(ICMPV6), GOTO(STRAY)}},
	{ALLOWED, "as the node", {CLEAR}},

	{REPLIES,
	 "back into the tunnel",
	 {DO(CT_HAS_NODE), IIF_OTHER, {STEP_MARK, SLU_ID_REPLY, NULL}, ACCEPT}},
	{REPLIES, "", {CLEAR}},

	{ARRIVED,
	 "a request from where the others came",
	 {DIRECTION(ORIGINAL), DO(SAME_NODE), DO(AS_SENT), ACCEPT}},
	{ARRIVED, "remember the pod's node", {DIRECTION(ORIGINAL), DO(ANY_ID), DO(TO_NODE_IN)}},
	{ARRIVED, "no request, which has a mark", {UNMARKED, DIRECTION(REPLY), ACCEPT}},
	{ARRIVED, "no such node, or a reply nobody asked for", {COUNT(TUNNEL_STATE), DROP}},

	{REJECTED, "", {COUNT(REJECTED)}},
	{REJECTED, "", {DO(OVER_RATE), DROP}},
	{REJECTED, "", {L4(TCP), DO(RESET)}},
	{REJECTED, "", {DO(PROHIBITED)}},

	{SERVICE, "", {DADDR_IN(NFT_SET_INSIDE4), CLEAR, ACCEPT}},
	{SERVICE, "", {DADDR_IN(NFT_SET_INSIDE6), CLEAR, ACCEPT}},
	{SERVICE, "judged as this endpoint", {SERVICE_IN(NFT_SET_SERVICES4), GOTO(ENDPOINT)}},
	{SERVICE, "", {SERVICE_IN(NFT_SET_SERVICES6), GOTO(ENDPOINT)}},
	{SERVICE, "", {COUNT(SERVICE_OUTSIDE), DROP}},

	{ENDPOINT, "", {MARK_IS(SLU_ID_CHECK), CLEAR}},

	{STRAY, "", {DADDR_IN(NFT_SET_INSIDE4), CLEAR, ACCEPT}},
	{STRAY, "", {DADDR_IN(NFT_SET_INSIDE6), CLEAR, ACCEPT}},
	{STRAY, "no connection: nothing would translate its source", {COUNT(EXIT_SOURCE), DROP}},

	{UNJUDGED, "", {DADDR_IN(NFT_SET_INSIDE4), ACCEPT}},
	{UNJUDGED, "", {DADDR_IN(NFT_SET_INSIDE6), ACCEPT}},
	{UNJUDGED, "", {COUNT(UNJUDGED), DROP}},

	{INPUT, "no node sends it to a Service", {UDP_PORT, DO(DNATTED), GOTO(FORGED)}},
	{INPUT, "", {GOTO(GUARD)}},

	{GUARD, "", {UDP_PORT, ACCEPT}},
	{GUARD,
	 "no binding: not for the gateway itself",
	 {DADDR_IN(NFT_SET_GUARDED4), COUNT(INPUT_GUARD), DROP}},
	{GUARD, "", {DADDR_IN(NFT_SET_GUARDED6), COUNT(INPUT_GUARD), DROP}},

	{OUTPUT, "what to_tunnel sends", {DO(OUTER), DO(NOTRACK), ACCEPT}},
	{OUTPUT, "", {UDP_PORT, GOTO(MADE_HERE)}},
	{OUTPUT,
	 "a process that took an egress address",
	 {SADDR_IN(NFT_SET_GUARDED4), DO(PROCESS), COUNT(EXIT_SOURCE), DROP}},
	{OUTPUT, "", {SADDR_IN(NFT_SET_GUARDED6), DO(PROCESS), COUNT(EXIT_SOURCE), DROP}},

	{MADE_HERE, "by a process", {DO(PROCESS), COUNT(FORGED_TUNNEL), DROP}},
	{MADE_HERE, "by the kernel", {DO(NOTRACK)}},

	{NAT,
	 "first binding wins: no masquerade after this",
	 {DIVERTED, OIF_TUNNEL, {STEP_SNAT_SELF, NFPROTO_IPV4, NULL}}},
	{NAT, "", {DIVERTED, OIF_TUNNEL, {STEP_SNAT_SELF, NFPROTO_IPV6, NULL}}},
	{NAT, "what one pod may hold of it", {ADDRESS_ID, {STEP_LIMIT, NFT_SET_CONNS, NULL}}},
	{NAT, "", {ADDRESS_ID, {STEP_LIMIT, NFT_SET_PORT_LIMITS, NULL}}},
	{NAT, "the egress address", {ADDRESS_ID, {STEP_SNAT, NFT_SET_SNAT4, NULL}}},
	{NAT, "", {ADDRESS_ID, {STEP_SNAT, NFT_SET_SNAT6, NULL}}},

	{EXIT, "", {UNMARKED, GOTO(BARE)}},
	{EXIT, "its own address", {OIF_OTHER, DO(OTHER_PORT), OWNED_IN(NFT_SET_OWNED4), ACCEPT}},
	{EXIT, "", {DIVERTED, OIF_TUNNEL, ACCEPT}},
	{EXIT, "", {OIF_TUNNEL, GOTO(INTO_TUNNEL)}},
	{EXIT, "", {UDP_PORT, JUMP(FORGED)}},
	{EXIT, "", {OWNED_IN(NFT_SET_OWNED4), ACCEPT}},
	{EXIT, "", {OWNED_IN(NFT_SET_OWNED6), ACCEPT}},
	{EXIT, "", {DIVERTED, COUNT(EXIT_DEVICE), DROP}},
	{EXIT, "", {DO(ANY_ID), COUNT(EXIT_SOURCE), DROP}},
	{EXIT,
	 "somebody wrote over the mark",
	 {DIRECTION(ORIGINAL), DO(CT_MARKED), STATE(STATE_NEW | STATE_BEGUN), GOTO(STRAY)}},

	{BARE, "what to_tunnel sends", {DO(OUTER), ACCEPT}},
	{BARE,
	 "somebody took the mark off (the node's own errors have none)",
	 {DIRECTION(ORIGINAL), DO(CT_MARKED), STATE(STATE_NEW | STATE_BEGUN), GOTO(STRAY)}},
	{BARE, "", {UDP_PORT, GOTO(OUTGOING)}},

	{OUTGOING, "the tunnel's own", {IIF_TUNNEL, ACCEPT}},
	{OUTGOING, "", {GOTO(FORGED)}},

	{FORGED, "made by a pod", {DADDR_IN(NFT_SET_ENDS4), COUNT(FORGED_TUNNEL), DROP}},
	{FORGED, "", {DADDR_IN(NFT_SET_ENDS6), COUNT(FORGED_TUNNEL), DROP}},

	{INTO_TUNNEL, "home", {MARK_IS(SLU_ID_REPLY), DO(TO_NODE_OUT)}},
	{INTO_TUNNEL, "", {MARK_IS(SLU_ID_REPLY), COUNT(TUNNEL_NO_ENTRY), DROP}},
	{INTO_TUNNEL, "", {COUNT(EXIT_DEVICE), DROP}},
};

/*
 * Frames that a bridge sends on by itself meet no IP hook, so no verdict and no
 * address: what a policy has decided something about must come up to the node.
 */
static const struct chain_def bridge_chain = {"bridged", "filter", NF_BR_FORWARD, -200};

static const struct rule_def bridge_rules[] = {
	{NULL, "", {UNMARKED, ACCEPT}},
	{NULL, "inside, or allowed as the pod is", {MARK_IS(SLU_ID_CHECK), ACCEPT}},
	{NULL,
	 "the same, where IP hooks do not see bridged frames",
	 {DO(CHECK_UNRELEASED), ACCEPT}},
	{NULL, "must not pass by the node", {COUNT(BRIDGED), DROP}},
};

/* One chain per node, for both ways: a mark cannot be or-ed with a register before kernel 6.13. */
static const struct rule_def node_rules[] = {
	{NULL, "reply", {MARK_IS(SLU_ID_REPLY), DO(MARK_NODE), ACCEPT}},
	{NULL, "", {DO(CT_NODE)}},
	{NULL, "", {DO(DNATTED), GOTO(SERVICE)}},
};

const struct ruleset nft_ruleset = {chains, ARRAY_SIZE(chains), rules, ARRAY_SIZE(rules)};
const struct ruleset nft_ruleset_bridge = {&bridge_chain, 1, bridge_rules,
					   ARRAY_SIZE(bridge_rules)};
const struct ruleset nft_ruleset_node = {NULL, 0, node_rules, ARRAY_SIZE(node_rules)};
