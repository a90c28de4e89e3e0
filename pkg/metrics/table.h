/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * All that is exported, in the order in which it is told; README.md has the same table, which a
 * test compares. Names and units are those of the Prometheus guidelines: base units, "_total"
 * behind what only grows.
 * X(ID, "name", TYPE, "help", labels...)
 */
#define METRICS_NODE(X)                                                                            \
	X(BUILD_INFO, "sluice_build_info", GAUGE, "Which version runs", "version")                 \
	X(READY, "sluice_ready", GAUGE, "1: ready, as /readyz and sluicectl status say")           \
	X(CONDITION, "sluice_condition", GAUGE,                                                    \
	  "1: the condition of sluicectl status is True, 0: it is False", "type")                  \
	X(PASSES, "sluice_passes_total", COUNTER, "Passes over the node, by how they ended",       \
	  "result")                                                                                \
	X(PASS_SECONDS, "sluice_pass_seconds_total", COUNTER, "Time that passes took")             \
	X(PASS_LAST, "sluice_pass_last_seconds", GAUGE, "Time that the last pass took")            \
	X(PASS_OK_AT, "sluice_pass_last_success_timestamp_seconds", GAUGE,                         \
	  "When a pass last left all as it must be")                                               \
	X(CHANGES, "sluice_kernel_changes_total", COUNTER, "Steps that changed the kernel")        \
	X(POLICIES, "sluice_policies", GAUGE, "Policies in force")                                 \
	X(PROGRAMS, "sluice_programs", GAUGE,                                                      \
	  "Different sets of rules that pods of the node have")                                    \
	X(PROGRAMS_REFUSED, "sluice_programs_refused", GAUGE,                                      \
	  "Sets of rules that the kernel has no room for; their pods keep the rules they had")     \
	X(OBJECTS, "sluice_objects", GAUGE, "Objects of the API, by collection", "collection")     \
	X(OBJECTS_REFUSED, "sluice_objects_refused", GAUGE,                                        \
	  "Objects of the API that are not in force as they are; from files: 1, while the folder " \
	  "is not")                                                                                \
	X(PODS, "sluice_pods", GAUGE,                                                              \
	  "Pods of the node: governed by a policy, free, quarantined until their labels are "      \
	  "known",                                                                                 \
	  "state")                                                                                 \
	X(PODS_UNADOPTED, "sluice_pods_unadopted", GAUGE,                                          \
	  "Pods that ran before Sluice came and could not be adopted")

#define METRICS_PACKETS(X)                                                                       \
	X(DROPPED_PACKETS, "sluice_dropped_packets_total", COUNTER,                              \
	  "Packets dropped, by reason; sluicectl counters tells what to do", "reason", "number") \
	X(DROPPED_BYTES, "sluice_dropped_bytes_total", COUNTER, "Bytes of those packets",        \
	  "reason", "number")                                                                    \
	X(AUDITED_PACKETS, "sluice_audited_packets_total", COUNTER,                              \
	  "Packets that policies in mode Audit, or suspended denials, would have judged "        \
	  "otherwise",                                                                           \
	  "outcome")                                                                             \
	X(AUDITED_BYTES, "sluice_audited_bytes_total", COUNTER, "Bytes of those packets",        \
	  "outcome")                                                                             \
	X(POLICY_CONNECTIONS, "sluice_policy_connections_total", COUNTER,                        \
	  "Connections that rules of the policy decided on, by what they do; one that gets its " \
	  "verdict from one rule and its address from another counts for both",                  \
	  "kind", "namespace", "policy", "action")                                               \
	X(POLICY_PACKETS, "sluice_policy_packets_total", COUNTER, "Packets of the same", "kind", \
	  "namespace", "policy", "action")                                                       \
	X(POLICY_BYTES, "sluice_policy_bytes_total", COUNTER, "Bytes of the same", "kind",       \
	  "namespace", "policy", "action")                                                       \
	X(POLICIES_LEFT_OUT, "sluice_policies_left_out", GAUGE,                                  \
	  "Policies that the three above do not tell, there being too many")                     \
	X(LINES_LOST, "sluice_event_log_lines_lost_total", COUNTER,                              \
	  "Lines of the event log that its reader was too slow for")                             \
	X(NAMES, "sluice_dns_patterns", GAUGE, "Names that rules of the node ask for")           \
	X(DNS, "sluice_dns_total", COUNTER,                                                      \
	  "What was read of resolvers' answers (sluicectl names)", "what")

#define METRICS_API(X)                                                                           \
	X(API_CONNECTED, "sluice_api_connected", GAUGE, "1: the API tells all that happens")     \
	X(API_TOLD_AT, "sluice_api_last_told_timestamp_seconds", GAUGE,                          \
	  "When the API last told an object or the end of a list")                               \
	X(API_LISTS, "sluice_api_lists_total", COUNTER, "Lists begun, by collection",            \
	  "collection")                                                                          \
	X(API_TOLD, "sluice_api_objects_total", COUNTER, "Objects told, in lists and as events", \
	  "collection")                                                                          \
	X(API_ERRORS, "sluice_api_errors_total", COUNTER,                                        \
	  "Lists and watches that failed and were begun again", "collection")                    \
	X(LEADER, "sluice_leader", GAUGE, "1: this daemon holds the Lease and writes conditions")

#define METRICS_GATEWAYS(X)                                                                        \
	X(ADDRESSES, "sluice_egress_addresses", GAUGE,                                             \
	  "Egress addresses of all gateways, as this node sees them", "state")                     \
	X(FAILOVERS, "sluice_failovers_total", COUNTER,                                            \
	  "Addresses that this node took over from one that died")                                 \
	X(MOVES, "sluice_moves_total", COUNTER,                                                    \
	  "Addresses that this node took over from one that lived")                                \
	X(DUPLICATES, "sluice_addresses_duplicate_total", COUNTER,                                 \
	  "Addresses of this node that another gateway had, too, until it let go")                 \
	X(FAILOVER_GAP, "sluice_failover_last_gap_seconds", GAUGE,                                 \
	  "How long the addresses of the last failover had no owner")                              \
	X(FAILOVER_AT, "sluice_failover_last_timestamp_seconds", GAUGE,                            \
	  "When this node last took over from one that died")                                      \
	X(ANNOUNCEMENTS, "sluice_announcements_total", COUNTER,                                    \
	  "Announcements sent (gratuitous ARP, unsolicited NA)")                                   \
	X(MEMBERS, "sluice_gateway_members", GAUGE, "Other gateways, by their state", "state")     \
	X(HEARTBEATS_SENT, "sluice_heartbeats_sent_total", COUNTER, "Heartbeats sent")             \
	X(HEARTBEATS, "sluice_heartbeats_received_total", COUNTER,                                 \
	  "Packets at the heartbeats' port, by what became of them", "result")                     \
	X(CHANNELS_REFUSED, "sluice_channels_refused_total", COUNTER,                              \
	  "Ends of channels between gateways without the key, or against the protocol")            \
	X(LEFT, "sluice_addresses_left_total", COUNTER,                                            \
	  "Addresses that left this node as planned: taken by the next one, or let go alone",      \
	  "result")                                                                                \
	X(ARRIVED, "sluice_addresses_arrived_total", COUNTER,                                      \
	  "Addresses that came to this node: with their connections, or without a word of them",   \
	  "result")                                                                                \
	X(FLOWS_TOLD, "sluice_moved_connections_told_total", COUNTER,                              \
	  "Connections that were told to the next owner in planned moves")                         \
	X(FLOWS_MADE, "sluice_moved_connections_made_total", COUNTER,                              \
	  "Connections of planned moves that were made in this node's kernel")                     \
	X(REPLICATED, "sluice_replicated_connections", GAUGE,                                      \
	  "Connections told to who would be next, waiting to be told, kept for others", "what")    \
	X(RESTORED, "sluice_restored_connections_total", COUNTER,                                  \
	  "Connections made of what was kept, after the crash of another gateway")                 \
	X(REPLICA_NO_ROOM, "sluice_replica_left_out_total", COUNTER,                               \
	  "Connections not replicated for want of room")                                           \
	X(REPLICA_OVERRUNS, "sluice_replica_overruns_total", COUNTER,                              \
	  "Times that news of the kernel's connections were lost and all were looked at")          \
	X(CONNTRACK, "sluice_conntrack_entries", GAUGE,                                            \
	  "Connections in the kernel's table, looked at twice a minute")                           \
	X(CONNTRACK_MAX, "sluice_conntrack_entries_limit", GAUGE,                                  \
	  "How many the table has room for")                                                       \
	X(SNAT_CONNECTIONS, "sluice_snat_connections", GAUGE,                                      \
	  "Connections under an egress address of this node, looked at twice a minute", "address") \
	X(SNAT_PORTS, "sluice_snat_ports_used", GAUGE,                                             \
	  "Source ports of the address towards the remote that has most of them", "address")       \
	X(SNAT_LIMIT, "sluice_snat_ports_limit", GAUGE, "How many there are", "address")           \
	X(NEAR_LIMIT, "sluice_pod_limits_near", GAUGE,                                             \
	  "Pods of this node, each with an egress address, that have 80 % or more of the limit",   \
	  "limit")

/* The names that every exporter has for its process; and what reading all of this costs. */
#define METRICS_PROCESS(X)                                                              \
	X(CPU, "process_cpu_seconds_total", COUNTER, "Processor time of the daemon")    \
	X(RSS, "process_resident_memory_bytes", GAUGE, "Resident memory of the daemon") \
	X(STARTED, "process_start_time_seconds", GAUGE, "When the daemon was started")  \
	X(SCRAPES, "sluice_scrapes_total", COUNTER,                                     \
	  "Times that these numbers were gathered; once a second at most")              \
	X(SCRAPE_SECONDS, "sluice_scrape_last_seconds", GAUGE, "Time that the last one took")

#define SLUICE_METRICS(X)  \
	METRICS_NODE(X)    \
	METRICS_PACKETS(X) \
	METRICS_API(X)     \
	METRICS_GATEWAYS(X) METRICS_PROCESS(X)
