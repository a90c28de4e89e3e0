/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once
/*
 * Every way a packet can end, one number each, never reused. Reasons below
 * SLU_MARK_REASONS travel as a mark id and are dropped by nft after replies were
 * cleared; the others are dropped where they are found.
 * X(number, NAME, "name-for-people", "what it means and what to do")
 */
#define SLU_DROP_REASONS(X)                                                                       \
	X(1, DENIED, "denied", "a rule denies this destination")                                  \
	X(2, REJECTED, "rejected", "a rule rejects this destination")                             \
	X(3, NO_GATEWAY, "no-gateway", "the rule's gateway does not exist")                       \
	X(4, NOT_PERMITTED, "not-permitted", "the gateway does not allow this namespace")         \
	X(5, NO_OWNER, "no-owner", "no node owns the egress address")                             \
	X(6, FAMILY, "family", "the gateway has no address of the packet's family")               \
	X(7, QUARANTINE, "quarantine", "the pod's labels are not known yet")                      \
	X(8, FRAGMENT, "fragment", "a fragment that conntrack did not put together")              \
	X(9, LINK_LOCAL_VIA, "link-local-via", "link-local destinations never get an identity")   \
	X(10, NO_POLICY, "no-policy", "the pod's policy is not in the map (yet)")                 \
	X(11, NO_ID, "no-id",                                                                     \
	  "this node has no free id for the address, or no room for its table")                   \
	X(16, MALFORMED, "malformed", "not ARP, IPv4 or IPv6, or it cannot be parsed")            \
	X(17, SPOOFED_MAC, "spoofed-mac", "source MAC is not the pod's")                          \
	X(18, SPOOFED_SOURCE, "spoofed-source",                                                   \
	  "source address is not the pod's, or an ICMP error is about a packet to others")        \
	X(19, SPOOFED_ARP, "spoofed-arp", "ARP or ND for an address that is not the pod's")       \
	X(20, ROUTER_ADVERT, "router-advert", "router advertisement or redirect from a pod")      \
	X(21, UNKNOWN_INTERFACE, "unknown-interface", "the pod's interface is not in the map")    \
	X(22, TUNNEL_UNMARKED, "tunnel-unmarked", "sent into sluice0 without an egress id")       \
	X(23, TUNNEL_NO_ENTRY, "tunnel-no-entry", "no egress address or node for the mark's id")  \
	X(24, TUNNEL_SENDER, "tunnel-sender", "tunnel packet from an address that is no node")    \
	X(25, TUNNEL_ADDRESS, "tunnel-address", "tunnel packet to an address not owned here")     \
	X(26, TUNNEL_INNER, "tunnel-inner", "inner packet not from a pod, or not to the outside") \
	X(27, VIA_UNSUPPORTED, "via-unsupported",                                                 \
	  "an identity on an attachment that has verdicts only")                                  \
	X(28, TUNNEL_KEY, "tunnel-key", "the kernel refused the tunnel key")                      \
	X(29, DNS_ORDER, "dns-order",                                                             \
	  "a resolver's answer by TCP, before what is missing ahead of it; TCP sends it again")   \
	X(30, HAND_MADE, "hand-made",                                                             \
	  "an IP packet that a packet socket wrote, on macvlan: nothing says whose it is")        \
	X(40, SERVICE_OUTSIDE, "service-outside",                                                 \
	  "a Service led outside, where no rule was judged")                                      \
	X(41, TUNNEL_STATE, "tunnel-state", "tunnel packet that belongs to no connection")        \
	X(42, EXIT_SOURCE, "exit-source", "would have left without its egress address")           \
	X(43, EXIT_DEVICE, "exit-device", "would have left on the wrong device")                  \
	X(44, FORGED_TUNNEL, "forged-tunnel", "tunnel used by a pod or a process")                \
	X(45, INPUT_GUARD, "input-guard", "not for the gateway itself: no binding for it")        \
	X(46, BRIDGED, "bridged", "a bridge would have sent it out past the node's IP stack")     \
	X(47, UNJUDGED, "unjudged", "a governed pod's packet that its program did not see")       \
	X(48, POD_LIMIT, "pod-limit", "the pod holds as much of the egress address as it may")

#define SLU_MARK_REASONS 14 /* mark ids 1..13 are reasons, see abi.h */

enum slu_reason {
	SLU_OK = 0,
#define X(number, NAME, name, text) SLU_DROP_##NAME = number,
	SLU_DROP_REASONS(X)
#undef X
		SLU_REASON_MAX = 64,
};
