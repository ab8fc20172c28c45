/* SPDX-License-Identifier: BSD-2-Clause */
/* Draws winnow.report/1 (the script element "data") into the page. Everything that came
 * from outside goes in as text, never as markup. */
"use strict";
(() => {
	const data = JSON.parse(document.getElementById("data").textContent);
	const page = document.getElementById("page");
	const charts = [];

	// ---- small things -----------------------------------------------------------------

	const el = (tag, attrs, ...inside) => {
		const e = document.createElement(tag);
		for (const [k, v] of Object.entries(attrs || {}))
			k === "class" ? (e.className = v) : k === "text" ? (e.textContent = v) : e.setAttribute(k, v);
		for (const i of inside.flat())
			if (i !== null && i !== undefined) e.append(i);
		return e;
	};
	const count = n => n === null || n === undefined ? "-" : Math.round(n).toLocaleString("en-US");
	const percent = (x, digits = 1) => x === null || x === undefined ? "-" : (100 * x).toFixed(digits) + "%";
	const bits = x => (x > 0 ? "+" : "") + x.toFixed(1);
	const time = t => t ? t.replace("T", " ").replace(/(\.\d+)?Z$/, " UTC") : "-";
	/* As much of a time as tells the points of one plot apart. */
	const clocks = list => {
		const ms = list.map(t => Date.parse(t)), span = ms[ms.length - 1] - ms[0];
		const [from, to] = span < 3600e3 ? [11, 19] : span < 86400e3 ? [11, 16] : [5, 16];
		return ms.map(t => new Date(t).toISOString().slice(from, to).replace("T", " "));
	};
	const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
	const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many || one + "s"}`;
	const state = s => el("span", { class: "state " + s, text: s });
	const th = (text, cls) => el("th", { class: cls || "", text, scope: "col" });
	const td = (x, cls) => el("td", { class: cls || "" }, x instanceof Node ? x : String(x));
	const table = (heads, rows) => el("div", { class: "scroll" }, el("table", {},
		el("thead", {}, el("tr", {}, heads.map(([t, c]) => th(t, c)))),
		el("tbody", {}, rows)));

	/* The first `few` rows, the rest behind a button. */
	const long_table = (heads, rows, few) => {
		const box = el("div", {}, table(heads, rows.slice(0, few)));
		if (rows.length > few) {
			const more = el("button", { type: "button", text: `Show all ${count(rows.length)}` });
			more.addEventListener("click", () => box.replaceChildren(table(heads, rows)));
			box.append(more);
		}
		return box;
	};

	const plot = (label, config) => {
		const canvas = el("canvas", { role: "img", "aria-label": label });
		charts.push({ canvas, config, chart: null });
		return el("div", { class: "plot" }, canvas);
	};

	const draw = () => {
		Chart.defaults.color = css("--soft");
		Chart.defaults.borderColor = css("--line");
		Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
		Chart.defaults.animation = false;
		Chart.defaults.maintainAspectRatio = false;
		for (const c of charts) {
			if (c.chart) c.chart.destroy();
			c.chart = new Chart(c.canvas, c.config());
		}
	};

	// ---- the verdict --------------------------------------------------------------------

	const strong = f => ["flag", "propose", "enforce"].includes(f.state);

	const headline = () => {
		const of = s => data.farms.filter(f => f.state === s).length;
		if (data.status.detector && data.status.detector.learning) return "Still learning what is ordinary here";
		if (!data.farms.some(strong))
			return of("watch") ? `No farm; ${plural(of("watch"), "stack is", "stacks are")} being watched` : "No account farm is seen";
		const parts = [];
		if (of("propose")) parts.push(`${plural(of("propose"), "farm")} could be dropped now`);
		if (of("enforce")) parts.push(`${plural(of("enforce"), "farm")} ${of("enforce") === 1 ? "is" : "are"} being dropped`);
		if (of("flag")) parts.push(`${plural(of("flag"), "farm")} flagged, nothing proposed yet`);
		return parts.join(", ");
	};

	const next_step = f => ({
		watch: "Something new that is not yet told from its harmless look-alikes. Nothing to do.",
		flag: "Judged a farm, but the rules it would need do not meet every gate yet.",
		propose: `To look and then stop it: winnow plan show, winnow plan apply ${f.id}`,
		enforce: "Rules are in force. They expire by themselves and are renewed only by fresh evidence.",
		decay: "It has stopped, or its evidence has faded.",
	})[f.state] || "";

	const sentence = f => {
		const who = `${plural(f.members_n, "source")} (${percent(f.share)} of those with this client stack) `;
		return who + `made ${plural(f.exchanges, "exchange")} between them. The nearest harmless explanation is ` +
			`“${f.nearest_benign || "none"}”; against it the evidence is ${bits(f.bits || 0)} bits, how rare farms are included.`;
	};

	const losses = () => {
		const lost = Object.entries(data.status.losses || {}).filter(([, n]) => n > 0);
		return el("p", { class: lost.length ? "warn" : "soft" }, lost.length
			? "Lost on the way: " + lost.map(([k, n]) => `${k.replace(/_/g, " ")} ${count(n)}`).join(", ") + ". Confidence falls with it."
			: "Nothing that was seen got lost.");
	};

	const verdict = () => {
		const c = data.status.counters || {};
		return [
			el("header", {}, el("b", { text: "winnow report" }), el("span", { text: data.host }),
				el("span", { text: time(data.time) }), el("span", { text: "version " + data.version })),
			el("h1", { text: headline() }),
			data.farms.filter(strong).map(f => el("p", {}, el("a", { href: "#" + f.id, text: `Farm ${f.id}` }), " ", state(f.state),
				` ${plural(f.members_n, "source")}, ${percent(f.share)} of those with its client stack, ${plural(f.exchanges, "exchange")}, ${bits(f.bits || 0)} bits.`)),
			el("div", { class: "tiles" },
				[["connections proved", c.conn_proved], ["hellos named", c.hello_result_ok], ["client stacks", data.stacks_n],
					["connections dropped, reset, rejected", (c.verdict_drop || 0) + (c.verdict_reset || 0) + (c.verdict_reject || 0)],
					["would have been", c.would_drop]]
					.map(([name, n]) => el("div", { class: "tile" }, el("b", { text: count(n) }), el("span", { text: name })))),
			data.status.enforce === false ? el("p", { class: "warn", text: "Shadow mode: rules only count what they would do." }) : null,
			data.status.panic ? el("p", { class: "bad", text: "Panic is on: nothing is dropped." }) : null,
			losses(),
		];
	};

	// ---- a farm ----------------------------------------------------------------------------

	const timeline = f => {
		const p = f.history || [];
		if (p.length < 2) return el("p", { class: "soft small", text: "Its course is not known yet: fewer than two windows." });
		const labels = clocks(p.map(x => x.time));
		const steps = key => p.map((x, i) => i ? Math.max(0, x[key] - p[i - 1][key]) : 0);
		const axis = (text, extra) => ({ beginAtZero: true, title: { display: true, text }, ...extra });
		const x = { ticks: { maxTicksLimit: innerWidth < 600 ? 4 : 8, maxRotation: 0 } };
		const first_rule = p.findIndex(q => q.rules > 0);
		return el("div", {},
			el("div", { class: "two" },
				plot("share of the stack's sources and number of members over time", () => ({
					type: "line",
					data: { labels, datasets: [
						{ label: "members", data: p.map(q => q.members), borderColor: css("--farm"), backgroundColor: css("--farm"), pointRadius: 0, borderWidth: 2, yAxisID: "y" },
						{ label: "share of the stack, %", data: p.map(q => 100 * q.share), borderColor: css("--plain"), backgroundColor: css("--plain"), pointRadius: 0, borderWidth: 2, yAxisID: "share" } ] },
					options: { interaction: { mode: "index", intersect: false }, scales: { x, y: axis("members"), share: axis("%", { position: "right", grid: { drawOnChartArea: false } }) } },
				})),
				plot("births of members and connections stopped in each window", () => ({
					type: "bar",
					data: { labels, datasets: [
						{ label: "new members", data: p.map(q => q.births), backgroundColor: css("--plain") },
						{ label: "connections stopped", data: steps("hits"), backgroundColor: css("--farm") },
						{ label: "would have been", data: steps("would"), backgroundColor: css("--warn") } ] },
					options: { interaction: { mode: "index", intersect: false }, scales: { x, y: axis("in each window") } },
				}))),
			el("p", { class: "soft small", text: first_rule < 0 ? "No rule of this farm has been in force."
				: `Its first rule came into force by ${time(p[first_rule].time)}; ${count(p[p.length - 1].hits)} connections were stopped since.` }));
	};

	const delays = f => {
		const d = f.delays;
		if (!d || !d.members.some(n => n) || !d.others.some(n => n))
			return el("p", { class: "soft small", text: "Too few measured handshakes to compare." });
		const part = list => { const sum = list.reduce((a, b) => a + b, 0) || 1; return list.map(n => 100 * n / sum); };
		const labels = d.edges_ms.map((e, i) => i ? `${d.edges_ms[i - 1]}–${e}` : `< ${e}`).concat([`> ${d.edges_ms[d.edges_ms.length - 1]}`]);
		return el("div", {},
			plot("D* of members beside the other sources of the same stack", () => ({
				type: "bar",
				data: { labels, datasets: [
					{ label: `members (${count(d.members.reduce((a, b) => a + b, 0))})`, data: part(d.members), backgroundColor: css("--farm") },
					{ label: `others with this stack (${count(d.others.reduce((a, b) => a + b, 0))})`, data: part(d.others), backgroundColor: css("--plain") } ] },
				options: { scales: { x: { title: { display: true, text: "median D* of a source, ms" } }, y: { beginAtZero: true, title: { display: true, text: "% of sources" } } } },
			})),
			el("p", { class: "soft small", text: "D* is the time between the kernel's acknowledgement of the server's flight and the TLS answer to it. Where TCP ends at a proxy's exit and TLS does not, it holds the hidden leg." }));
	};

	const matrix = (title, m, tint) => {
		const edge = ["<3", "<10", "<30", "<100", "more"];
		const sum = m.flat().reduce((a, b) => a + b, 0) || 1;
		const rows = m.map((row, r) => el("tr", {}, el("th", { text: edge[r], scope: "row" }), row.map(n => {
			const cell = td(n ? percent(n / sum, n / sum < 0.01 ? 1 : 0) : "");
			cell.style.backgroundColor = `rgba(${css(tint)}, ${Math.min(0.85, n / sum * 1.6)})`;
			return cell;
		})));
		return el("div", {}, el("div", { class: "small soft", text: title }),
			el("table", { class: "heat" }, el("thead", {}, el("tr", {}, th("D1 \\ D* ms"), edge.map(e => th(e)))), el("tbody", {}, rows)));
	};

	const evidence = f => {
		const most = Math.max(1, ...(f.explanation || []).map(l => Math.abs(l.bits)), ...Object.values(f.evidence || {}).map(Math.abs));
		const bar = b => {
			const i = el("i", { class: b > 0 ? "for" : "against" });
			i.style.width = Math.min(50, 50 * Math.abs(b) / most) + "%";
			return el("div", { class: "bar", title: bits(b) + " bits" }, i);
		};
		const rows = [];
		for (const [family, b] of Object.entries(f.evidence || {})) {
			rows.push(el("tr", {}, td(el("b", { text: family })), td(bits(b), "n"), td(bar(b)),
				td(`without it: ${bits((f.without || {})[family] || 0)} bits in all`, "small soft")));
			for (const l of (f.explanation || []).filter(x => x.family === family))
				rows.push(el("tr", {}, td(l.fact), td(bits(l.bits), "n"), td(bar(l.bits)), td(el("div", {}, l.counts,
					el("div", { class: "small soft", text: `measured ${l.value}${l.error ? " ± " + l.error : ""}; a farm ${l.farm}, ${f.nearest_benign || "harmless"} ${l.benign}` })))));
		}
		rows.push(el("tr", {}, td("prior"), td(bits(f.prior || 0), "n"), td(bar(f.prior || 0)), td("how rare farms are", "small soft")));
		rows.push(el("tr", {}, td(el("b", { text: "decision" })), td(el("b", { text: bits(f.bits || 0) }), "n"), td(bar(f.bits || 0)), td("")));
		const t = table([["evidence"], ["bits", "n"], [`against ${f.nearest_benign || "harmless"} · for a farm`], ["the counts"]], rows);
		t.firstChild.className = "evidence";
		return t;
	};

	const spread = f => {
		const s = f.spread;
		if (!s) return null;
		const rows = s.top.map(t => el("tr", {}, td(t.name, "mono"), td(count(t.members), "n"), td(percent(t.members / f.members_n), "n")));
		return el("div", {},
			el("p", { text: `${plural(f.members_n, "member")} in ${plural(s.small, "small network")} (/24, IPv6 /48) and ${plural(s.large, "large one", "large ones")} (/16, IPv6 /40)` + (s.asns ? `, ${plural(s.asns, "autonomous system")}` : "") + "." }),
			table([[s.asns ? "autonomous system" : "network"], ["members", "n"], ["of all", "n"]], rows));
	};

	const members = f => long_table([["source"], ["posterior", "n"], ["connections", "n"], ["exchanges", "n"], ["split", "n wide"], ["direct", "n wide"], ["D* ms", "n"]],
		f.members.map(m => el("tr", {}, td(m.src, "mono"), td(m.posterior.toFixed(3), "n"), td(count(m.connections), "n"), td(count(m.exchanges), "n"),
			td(count(m.split), "n wide"), td(count(m.direct), "n wide"), td(m.dstar_ms === null ? "-" : m.dstar_ms, "n"))), 15);

	const rules = f => {
		const p = f.plan;
		if (!p || !p.rules_n) return el("p", { class: "soft", text: "No rule is proposed." + (f.gate ? " Held back: " + f.gate : "") });
		const c = p.collateral || {};
		const first = p.rules[0] || {};
		return el("div", {},
			el("p", { text: `${plural(p.rules_n, "rule")}, each on one source and this stack, action ${first.action}, until ${time(first.expires)}; ${count(p.in_force)} in force, ${plural(p.spared_n, "member")} spared.` }),
			el("p", { text: `They stop ${count(p.stops_exchanges)} of the exchanges so far. Innocent sources among those ruled: ${(c.sources || 0).toFixed(2)} expected, at most ${count(Math.ceil(c.upper95 || 0))} (95%).` }),
			(p.gates || []).filter(g => !g.met).map(g => el("p", { class: "warn small", text: "Not without a person: " + g.text })),
			long_table([["source"], ["action"], ["state", "wide"], ["exchanges so far", "n"], ["in force"]],
				p.rules.map(r => el("tr", {}, td((r.match || {}).src || "-", "mono"), td(r.action), td((r.state || []).join(" ") || "-", "wide"), td(count((r.collateral || {}).stops_exchanges ?? r.exchanges), "n"), td(r.handle ? "rule " + r.handle : "no"))), 10),
			p.spared_n ? el("details", {}, el("summary", { text: `Spared members and why (${count(p.spared_n)})` }),
				table([["source"], ["why"]], (p.spared || []).map(s => el("tr", {}, td(s.src, "mono"), td(s.why))))) : null);
	};

	const farm = f => [
		el("h2", { id: f.id }, `Farm ${f.id} `, state(f.state)),
		el("p", { text: sentence(f) }),
		el("p", { class: "soft", text: next_step(f) }),
		el("p", { class: "small soft" }, "stack ", el("code", { text: f.stack }), f.label ? ` (${f.label})` : "", `, port ${f.service}; JA4 `, el("code", { text: (f.ja4 || []).join(", ") || "-" })),
		el("p", { class: "small soft", text: `began ${time(f.onset)} · watched ${time(f.watched_at)} · flagged ${time(f.flagged_at)} · proposed ${time(f.proposed_at)} · ${count(f.exchanges_before_flag)} exchanges before the flag` }),
		el("h3", { text: "Course" }), el("div", { class: "card" }, timeline(f)),
		el("h3", { text: "Why: evidence against the nearest harmless explanation" }), el("div", { class: "card" }, evidence(f)),
		el("h3", { text: "The hidden leg" }),
		el("div", { class: "card" }, delays(f), f.matrix ? el("div", { class: "two" }, matrix("members' handshakes", f.matrix.members, "--heat-farm"), matrix("the stack's other sources", f.matrix.others, "--heat")) : null),
		el("h3", { text: "Where the members are" }), el("div", { class: "card" }, spread(f)),
		el("h3", { text: "Rules and what they would cost" }), el("div", { class: "card" }, rules(f)),
		el("h3", { text: `Members (${f.members.length < f.members_n ? "the first " + count(f.members.length) + " of " : ""}${count(f.members_n)})` }), el("div", { class: "card" }, members(f)),
	];

	// ---- the rest ----------------------------------------------------------------------------

	const stacks = () => [
		el("h2", { text: "Client stacks" }),
		el("div", { class: "card" }, table([["stack"], ["label", "wide"], ["sources", "n"], ["connections", "n"], ["exchanges", "n"]],
			data.stacks.map(s => el("tr", {}, td(s.stack, "mono"), td(s.label || "-", "wide"), td(count(s.sources), "n"), td(count(s.connections), "n"), td(count(s.exchanges), "n")))),
		data.stacks_n > data.stacks.length ? el("p", { class: "soft small", text: `The ${data.stacks.length} with the most exchanges of ${count(data.stacks_n)}.` }) : null),
	];

	const method = () => [
		el("h2", { text: "How this was judged, and what it cannot see" }),
		el("p", { text: "Counted in the kernel: for each source (IPv4 address or IPv6 /64) and client stack, connections whose client had answered the server's own sequence number, exchanges, bytes, gaps and the delays of the handshake. A stack is the ClientHello's JA4 without what changes on resumption." }),
		el("p", { text: "Judged in windows: is there one more kind of source in this stack than there was when traffic was clean, does it conceal where it is, is it driven by one schedule, do its sources share one origin, and how widely is it scattered? Each answer is weighed in bits against the best harmless explanation (fleet, relay, monitoring, load test, release of an SDK), never against “ordinary people” alone." }),
		el("p", { text: "Not seen: accounts, requests smaller than 100 bytes, concurrent HTTP/2 requests apart. Not decidable from packets: proxies that end TLS at the exit and drive a real client stack at a human pace. A farm inside one cloud looks like a fleet." }),
		el("p", { class: "soft small", text: "No file or address outside this page is used by it. Every number is in the data at its end of source." }),
	];

	const licence = () => el("details", {}, el("summary", { class: "small", text: "Licences" }),
		el("p", { class: "small", text: "winnow: BSD-2-Clause. The plots are drawn by Chart.js:" }),
		el("pre", { text: document.getElementById("chart-licence").textContent.trim() }));

	page.replaceChildren(...[verdict(), data.farms.map(farm), stacks(), method(), licence()].flat(3).filter(Boolean));
	draw();
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
	addEventListener("beforeprint", () => charts.forEach(c => c.chart && c.chart.resize()));
	document.documentElement.dataset.drawn = "yes";
})();
