/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * world.h - what the parts of the generator share. Only sim's own .c files include it.
 */
#ifndef WINNOW_SIM_WORLD_H
#define WINNOW_SIM_WORLD_H

#include "tests/sim/chance.h"
#include "tests/sim/sim.h"

#define NETS       512 /* eyeball /16s (IPv4) and /32s (IPv6) */
#define GROUPS_MAX 200
#define NO_ORDER   0
#define NEVER      INT64_MAX

enum pace {
	PEOPLE,  /* sessions, local day */
	CRON,    /* a period, CV jitter */
	RENEWAL, /* Gamma renewals */
	POISSON, /* a queue thinned over accounts */
	EVEN,    /* round robin */
	BATCH,   /* everybody in the same two minutes */
};

/* How an exit relays (timing.md 2): D* over the leg, and what is added. */
enum program { PLAIN, NAGLE, LATE_WRITE, TUNNELLED };

enum trait {
	KNOWN = 1,         /* has a session to resume */
	MOVES = 2,         /* an exit: takes a new address when `until_addr` comes */
	RESUMES = 4,       /* as the stack does; without: never */
	FROZEN = 8,        /* one extension order, in spite of the stack */
	OWN_LEGS = 16,     /* a shared exit: each connection has another leg */
	NIGHT = 32,        /* an operator who sleeps */
	DORMANT = 64,      /* an account in reserve */
	UPGRADES = 128,    /* takes the browser's next release */
	BLOATED = 256,     /* a queue on the way up: D1 and D2 late together */
	DELAYED_ACK = 512, /* an exit that sends no ACK alone for a short flight */
	EXIT_TLS = 1024,   /* TLS ends at the exit: no leg to see */
	GIVES_UP = 2048,   /* blocked: leaves for good */
};

struct source {
	struct addr addr;
	uint64_t rng;
	int64_t next;        /* us since SIM_START */
	uint32_t link;       /* chain of the calendar */
	uint32_t order;      /* FROZEN */
	uint32_t from;       /* s: not before */
	uint32_t until;      /* s: not after */
	uint32_t until_addr; /* s */
	float every;         /* s: between sessions, or the period */
	float rtt, leg;      /* ms */
	float own, noise;    /* ms: certificate check or slow processor; correlated jitter */
	uint16_t stack, group, traits;
	uint16_t left; /* exchanges left of this session */
	uint8_t pace, role, tcp, far, program, site;
	uint8_t name, class; /* index of names; enum class */
	uint16_t copy;       /* number of the negative; of the farm's farm */
	uint16_t failures;
};
_Static_assert(sizeof(struct source) <= 112, "5 M sources are to fit in 560 MB");

enum class { C_DESKTOP, C_MOBILE, C_AUTOMATION, C_NAT, C_RELAY, C_OTHER };

struct group {       /* of networks that live by one clock */
	float shift; /* s ahead of UTC */
	float amplitude;
	float weekend;
};

struct net {
	uint16_t group;
	uint16_t v4; /* upper 16 bits */
};

struct release { /* a browser's next version */
	uint16_t from, to;
	float centre, width; /* s */
};

#define RELEASES 4

struct farm_plan {
	uint32_t stack, n, nets, program, clock, order;
	uint32_t stacks; /* from `stack` on: its accounts or its hours take turns */
	uint64_t key;    /* names its legs */
	bool people, exit_tls, frozen, resumes, lockstep, cloud, dormant, hourly;
	enum far_end far;
	float every;
};

struct world {
	struct sim_config c;
	struct stacks stacks;
	struct group groups[GROUPS_MAX];
	uint32_t n_groups;
	struct net nets[NETS];
	struct release releases[RELEASES];
	uint64_t rng; /* for building */
	uint64_t key; /* for hashes */
	/* of this scenario */
	double sigma, per_day, session, gap; /* people */
	double v6;
	uint32_t renumbered_group, renumbered_at;
	uint32_t storm_from, storm_until; /* N15: half of the networks jam */
	uint32_t outage_from, outage_until;
	uint32_t cgnat_at, cgnat_groups;
	/* who */
	struct source *sources;
	size_t n, room;
	uint32_t *stack_sources; /* [STACKS] organic */
	struct farm_plan farm;
	uint32_t farm_stack, copies;
	uint32_t *reserve; /* dormant accounts */
	size_t n_reserve;
	FILE *labels;
	/* the calendar */
	uint32_t *slots;
	int64_t slot;
	struct due *heap;
	size_t heap_n, heap_room;
	/* the event at hand */
	struct event_exchange exchanges[SIM_EXCHANGES];
};

extern const char *const sim_names[];
enum name {
	N_ORGANIC,
	N_NAT,
	N_RELAY,
	N_TUNNEL,
	N_FARM,
	N_PODS,
	N_SASE,
	N_LOAD,
	N_RELEASE,
	N_RELAY_NEW,
	N_MONITOR,
	N_CROWD,
	N_CAMPUS,
	N_PROBE,
	N_TUNNEL_NEW,
};

/* population.c */
int populate(struct world *w);
struct source *source_new(struct world *w, enum name name, uint32_t stack);
void eyeball(struct world *w, struct source *s); /* an address, a group, a distance */
void eyeball_from(struct world *w, struct source *s, uint64_t *rng);
void person(struct world *w, struct source *s);
void label(struct world *w, const struct source *s);
struct addr inside(uint32_t slash16, uint32_t bits, uint32_t net, uint64_t *rng);
void relay_exits(struct world *w, uint32_t clients, uint32_t exits, enum name name, double from,
		 double ramp);
void tunnel(struct world *w, struct source *s, double from);
void start_at(struct source *s, double t);

/* farms.c */
int farm_build(struct world *w);
void farm_move(struct world *w, struct source *s);
void farm_blocked(struct world *w, struct source *s);

/* negatives.c */
int negative_build(struct world *w);

/* delays.c */
void delays(const struct world *w, struct source *s, double t, bool psk, struct event_conn *e);

/* pace.c */
double activity(const struct world *w, const struct source *s, double t);
uint32_t stack_at(const struct world *w, const struct source *s, double t);
/* Fills exchanges of the connection at `t` and sets the source's next time. */
uint32_t visit(struct world *w, struct source *s, double t);
void wait_session(struct world *w, struct source *s, double t);

/* calendar.c */
int calendar_open(struct world *w);
void calendar_close(struct world *w);
int calendar_add(struct world *w, uint32_t i);
/* The next source to act, UINT32_MAX at the end. */
uint32_t calendar_next(struct world *w);

#endif
