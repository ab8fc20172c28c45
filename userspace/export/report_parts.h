/* SPDX-License-Identifier: BSD-2-Clause */
/* report_parts.h - the files that a report is made of, as they were at build time. */
#ifndef WINNOW_EXPORT_REPORT_PARTS_H
#define WINNOW_EXPORT_REPORT_PARTS_H

extern const char report_css[], report_js[], report_chart_js[], report_chart_licence[];

#endif
