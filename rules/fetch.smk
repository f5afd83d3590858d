# Source -> raw files, from the mirror folder or the network. One job per part (month, or the whole source).
rule fetch:
    output:
        PLAN.patterns["raw"],
    log:
        "logs/fetch/{source}/{part}.log",
    benchmark:
        "logs/fetch/{source}/{part}.tsv"
    conda:
        lambda w: f"../envs/{PLAN.catalog.source(w.source).environment}.yaml"
    resources:
        **needs("fetch"),
    params:
        key=lambda w: PLAN.key("fetch", **w),
    shell:
        "python -m pipeline_lib fetch {wildcards.source} --part {wildcards.part}"
        ' --catalog "$GYRE_CATALOG" ${{GYRE_MIRROR_FOLDER:+--mirror "$GYRE_MIRROR_FOLDER"}} --output {output:q} --log {log:q}'
