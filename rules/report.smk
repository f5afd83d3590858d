# Everything of an experiment -> figures (PNG, PDF) and one self-contained page.
rule report:
    input:
        leaderboard=PLAN.patterns["leaderboard"],
        models=lambda w: PLAN.run_paths("model", w.experiment),
        products=lambda w: PLAN.all_products(w.experiment),
        labels=lambda w: PLAN.labels(w.experiment, "test"),
        datasets=lambda w: PLAN.datasets(w.experiment, "test"),
    output:
        manifest=PLAN.patterns["report"],
        page=report(
            PLAN.patterns["report_html"],
            caption="../workflow/report/page.rst",
            category="{experiment}",
        ),
    log:
        "logs/report/{experiment}.log",
    benchmark:
        "logs/report/{experiment}.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        **needs("report", "datasets"),
    params:
        key=lambda w: PLAN.key("report", **w),
    shell:
        'python -m pipeline_lib report "$GYRE_EXPERIMENTS"/{wildcards.experiment}.yaml --leaderboard {input.leaderboard:q}'
        " --models {input.models:q} --products {input.products:q} --labels {input.labels:q}"
        " --datasets {input.datasets:q} --output {output.manifest:q} --log {log:q}"


# The run behind the report, told to archives and registries; the only result that holds times.
rule crate:
    input:
        PLAN.patterns["report"],
    output:
        PLAN.patterns["crate"],
    log:
        "logs/crate/{experiment}.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        key=lambda w: PLAN.key("crate", **w),
    shell:
        'python -m pipeline_lib crate {input:q} --workflow "$GYRE_WORKFLOW" --snakemake "$GYRE_SNAKEMAKE"'
        " --benchmarks logs --output {output:q} --log {log:q}"
