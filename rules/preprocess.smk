# Raw files -> analysis-ready Zarr, one store per month; training statistics of an experiment.
rule preprocess:
    input:
        lambda w: PLAN.raw_for(w.source, w.period),
    output:
        PLAN.patterns["dataset"],
    log:
        "logs/preprocess/{source}/{period}.log",
    benchmark:
        "logs/preprocess/{source}/{period}.tsv"
    conda:
        "../envs/preprocess.yaml"
    resources:
        **needs("preprocess"),
    params:
        key=lambda w: PLAN.key("preprocess", **w),
    shell:
        "python -m pipeline_lib preprocess {wildcards.source} --period {wildcards.period}"
        ' --catalog "$GYRE_CATALOG" --raw {input:q} --threads {threads} ${{GYRE_DASK:+--dask "$GYRE_DASK"}} --output {output:q} --log {log:q}'


rule statistics:
    input:
        datasets=lambda w: PLAN.datasets(w.experiment, "train"),
    output:
        PLAN.patterns["statistics"],
    log:
        "logs/statistics/{experiment}.log",
    benchmark:
        "logs/statistics/{experiment}.tsv"
    conda:
        "../envs/preprocess.yaml"
    resources:
        **needs("statistics", "datasets"),
    params:
        key=lambda w: PLAN.key("statistics", **w),
    shell:
        'python -m pipeline_lib statistics "$GYRE_EXPERIMENTS"/{wildcards.experiment}.yaml --datasets {input:q}'
        " --output {output:q} --log {log:q}"
