/* SPDX-License-Identifier: BSD-2-Clause */
#include "export/report_parts.h"

#define PART(name, file)                          \
	__asm__(".section .rodata\n"              \
		".global " #name "\n" #name ":\n" \
		".incbin \"" file "\"\n"          \
		".byte 0\n"                       \
		".previous\n")

PART(report_css, "userspace/share/report/report.css");
PART(report_js, "userspace/share/report/report.js");
PART(report_chart_licence, "userspace/share/report/chart-licence.txt");
PART(report_chart_js, CHARTJS);
