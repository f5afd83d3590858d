# Products against labels -> counts per date of one run, in the test or one operational period; all runs -> leaderboard.
rule score:
    input:
        model=PLAN.patterns["model"],  # says how it was made: products of another are no run of this one
        products=lambda w: PLAN.products(w.experiment, w.model, w.seed),
        labels=lambda w: PLAN.labels(w.experiment, "test"),
        datasets=lambda w: PLAN.datasets(w.experiment, "test"),
    output:
        PLAN.patterns["score"],
    log:
        "logs/score/{experiment}/{model}-seed{seed}.log",
    benchmark:
        "logs/score/{experiment}/{model}-seed{seed}.tsv"
    conda:
        "../envs/score.yaml"
    resources:
        **needs("score", "datasets"),
    params:
        key=lambda w: PLAN.key("score", **w),
    shell:
        'python -m pipeline_lib score "$GYRE_EXPERIMENTS"/{wildcards.experiment}.yaml --model {wildcards.model} --seed {wildcards.seed}'
        " --products {input.products:q} --labels {input.labels:q} --datasets {input.datasets:q}"
        " --output {output:q} --log {log:q}"


rule period_score:
    input:
        model=PLAN.patterns["model"],
        products=PLAN.patterns["product"],
        labels=lambda w: PLAN.labels_of(w.experiment, w.period),
        datasets=lambda w: PLAN.dataset_of(w.experiment, w.period),
    output:
        PLAN.patterns["period_score"],
    log:
        "logs/score/{experiment}/{model}-seed{seed}-{period}.log",
    benchmark:
        "logs/score/{experiment}/{model}-seed{seed}-{period}.tsv"
    conda:
        "../envs/score.yaml"
    resources:
        **needs("score", "datasets"),
    params:
        key=lambda w: PLAN.key("period_score", **w),
        days=lambda w: PLAN.days(w.experiment, w.period),
    shell:
        'python -m pipeline_lib score "$GYRE_EXPERIMENTS"/{wildcards.experiment}.yaml --model {wildcards.model} --seed {wildcards.seed}'
        " --days {params.days} --products {input.products:q} --labels {input.labels:q} --datasets {input.datasets:q}"
        " --output {output:q} --log {log:q}"


rule leaderboard:
    input:
        lambda w: PLAN.run_paths("score", w.experiment),
    output:
        manifest=PLAN.patterns["leaderboard"],
        table=report(
            PLAN.patterns["leaderboard_csv"],
            caption="../workflow/report/leaderboard.rst",
            category="{experiment}",
        ),
    log:
        "logs/leaderboard/{experiment}.log",
    benchmark:
        "logs/leaderboard/{experiment}.tsv"
    conda:
        "../envs/score.yaml"
    resources:
        **needs("leaderboard"),
    params:
        key=lambda w: PLAN.key("leaderboard", **w),
    shell:
        'python -m pipeline_lib leaderboard "$GYRE_EXPERIMENTS"/{wildcards.experiment}.yaml --scores {input:q}'
        " --output {output.manifest:q} --log {log:q}"
