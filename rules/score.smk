# Products against labels -> counts per date of one run; all runs of an experiment -> leaderboard.
rule score:
    input:
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
