/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * families.h - the metrics there are, in the order they are written.
 *
 * The writer, winnow-metrics(7), the alert rules and the dashboard have no other
 * list: tests compare them with this one. X(id, name, type, labels, help).
 */
#ifndef WINNOW_EXPORT_FAMILIES_H
#define WINNOW_EXPORT_FAMILIES_H

/* clang-format off */
#define METRIC_FAMILIES(X) \
	X(BUILD_INFO, "winnow_build_info", "gauge", "version", \
	  "Always 1; the label says which winnow this is.") \
	X(XDP_INFO, "winnow_xdp_info", "gauge", "interface, mode, proof", \
	  "Always 1; how the classifier is attached and how connections are proved.") \
	X(INTERFACE_UP, "winnow_interface_up", "gauge", "interface", \
	  "1 while the device exists and the classifier is on it.") \
	X(ENFORCING, "winnow_enforcing", "gauge", "", \
	  "1 when rules may act: enforce = yes and no panic.") \
	X(PANIC, "winnow_panic", "gauge", "", "1 while panic lets everything pass.") \
	X(TROUBLES, "winnow_troubles", "gauge", "", \
	  "Things that are wrong now; winnow status names them.") \
	X(HEARTBEAT, "winnow_heartbeat_timestamp_seconds", "gauge", "", \
	  "When the daemon last told the kernel that it lives.") \
	X(MAX_UNATTENDED, "winnow_max_unattended_seconds", "gauge", "", \
	  "After how long without a heartbeat the kernel drops nothing; 0: never.") \
	X(PACKETS, "winnow_packets_total", "counter", "interface, verdict", \
	  "Frames of attached devices by what became of them.") \
	X(BYTES, "winnow_bytes_total", "counter", "interface, verdict", \
	  "Bytes of frames of attached devices by whether they were dropped.") \
	X(DROPS, "winnow_drops_total", "counter", "reason, action", \
	  "Proved connections (packets, of rules on a source alone) that rules acted on, by who " \
	  "wanted it.") \
	X(WOULD_DROPS, "winnow_would_drops_total", "counter", "reason, action", \
	  "The same that count, shadow, canary or holdout let by.") \
	X(PREVENTED, "winnow_drops_prevented_total", "counter", "reason", \
	  "Frames a rule wanted to drop that panic or the dead-man limit let by.") \
	X(ALLOW_SAVES, "winnow_allow_saves_total", "counter", "", \
	  "Frames a rule wanted to drop that the allow list let by.") \
	X(PARSE, "winnow_parse_total", "counter", "result", \
	  "Frames by how their headers could be read.") \
	X(HELLOS, "winnow_hellos_total", "counter", "result", \
	  "ClientHellos by how they could be read; winnow-fingerprints(7) lists the results.") \
	X(EVENTS, "winnow_kernel_events_total", "counter", "event", \
	  "Everything else the programs count.") \
	X(MAP_ENTRIES, "winnow_map_entries", "gauge", "map", "Rows in use.") \
	X(MAP_CAPACITY, "winnow_map_capacity", "gauge", "map", "Rows there is room for.") \
	X(MAP_EVICTIONS, "winnow_map_evictions_total", "counter", "map", \
	  "Live rows lost to newer ones.") \
	X(RING_LOST, "winnow_ring_lost_total", "counter", "", "Events that found the ring full.") \
	X(NAMES_LOST, "winnow_names_lost_total", "counter", "reason", \
	  "Hellos that were tallied and not named, and names pushed out by newer ones.") \
	X(KERNEL_BUSY, "winnow_kernel_busy_total", "counter", "", \
	  "Calls that were made again because the kernel was too busy for them.") \
	X(FARMS, "winnow_farms", "gauge", "state", "Farms by state.") \
	X(RULES, "winnow_rules", "gauge", "action, origin", "Rules by action and origin.") \
	X(RULES_PENDING, "winnow_rules_pending", "gauge", "reason", \
	  "Rules that are not in force: their fingerprint was not seen yet, or the kernel's " \
	  "tables are full.") \
	X(RULE_EXPIRIES, "winnow_rule_expiries_total", "counter", "", \
	  "Rules that reached their expiry and were taken out.") \
	X(ALLOWED, "winnow_allowed_networks", "gauge", "", "Networks on the allow list.") \
	X(DETECTOR_RUN, "winnow_detector_run_seconds", "gauge", "stage", \
	  "What the newest window took, by stage.") \
	X(DETECTOR_SUCCESS, "winnow_detector_last_success_timestamp_seconds", "gauge", "", \
	  "End of the newest window that was judged; 0: none yet.") \
	X(DETECTOR_WINDOW, "winnow_detector_window_seconds", "gauge", "", \
	  "How often the detector looks.") \
	X(DETECTOR_LEARNING, "winnow_detector_learning", "gauge", "", \
	  "1 while the traffic is taken for clean and nothing is judged.") \
	X(DETECTOR_LATE, "winnow_detector_late_total", "counter", "", \
	  "Windows that ended while the one before was still being judged.") \
	X(CONFIG_RELOADS, "winnow_config_reloads_total", "counter", "result", \
	  "Reloads of the configuration by result.") \
	X(CONFIG_OK, "winnow_config_last_reload_successful", "gauge", "", \
	  "0 when the newest reload was refused and the settings before it stay in force.") \
	X(CONTROL, "winnow_control_requests_total", "counter", "result", \
	  "Requests on the control socket by result.") \
	X(DROPPED_SERIES, "winnow_metrics_dropped_series", "gauge", "", \
	  "Series left out of this answer because it would have had more than 500.") \
	X(HEAP, "winnow_heap_bytes", "gauge", "", \
	  "Memory in use by winnowd; what is resident beyond it is the allocator's.") \
	X(PROCESS_CPU, "process_cpu_seconds_total", "counter", "", \
	  "User and system time of winnowd.") \
	X(PROCESS_FDS, "process_open_fds", "gauge", "", "File descriptors winnowd has open.") \
	X(PROCESS_MAX_FDS, "process_max_fds", "gauge", "", "File descriptors it may have open.") \
	X(PROCESS_VIRTUAL, "process_virtual_memory_bytes", "gauge", "", \
	  "Virtual memory of winnowd.") \
	X(PROCESS_RESIDENT, "process_resident_memory_bytes", "gauge", "", \
	  "Resident memory of winnowd.") \
	X(PROCESS_START, "process_start_time_seconds", "gauge", "", \
	  "When winnowd started, in seconds since 1970.")
/* clang-format on */

enum metric_family {
#define X(id, name, type, labels, help) METRIC_##id,
	METRIC_FAMILIES(X)
#undef X
		METRIC_FAMILY_MAX
};

#endif
